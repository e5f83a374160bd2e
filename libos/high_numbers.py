"""Descriptors that a library opens by itself in a program's process: out of the way of the numbers that it will get."""

import os
import resource
from fcntl import fcntl

from libos.memory_file import F_DUPFD_CLOEXEC

ROOM = 64  # numbers left for them


class HighNumbers:
    """For `with`: what is opened meanwhile gets a high number. All that are free below are taken for that moment."""

    def __enter__(self):
        self.taken = []
        last = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1024) - ROOM
        number = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        while number < last:
            self.taken.append(number)
            number = fcntl(number, F_DUPFD_CLOEXEC, number)
        os.close(number)

    def __exit__(self, *_):
        for number in self.taken:
            os.close(number)
