"""A bell for a descriptor that is readable whenever something is there: silent until somebody sleeps, so that what
comes while others look wakes nobody (epoll(7): a set of one, which is a descriptor itself).
"""

import os

from libos import calls, raw
from libos.memory_file import high

COMPILED = __file__.endswith(".so")
CHANGE, SILENT = 3, 0  # EPOLL_CTL_MOD


class Bell:
    """For `source`; `at`: 16 bytes of memory. Raises OSError."""

    def __init__(self, source, at):
        self.source, self.at = source, at
        set_of_one = raw.syscall(calls.SYS_epoll_create1, calls.CLOEXEC, 0, 0, 0, 0, 0)
        if set_of_one < 0:
            raise OSError(-set_of_one, os.strerror(-set_of_one))
        self.fd = high(set_of_one)
        self.tell(calls.EPOLL_ADD, SILENT)

    def tell(self, how, events):
        raw.store(self.at, events)
        raw.store(self.at + 8, 0)
        raw.syscall(calls.SYS_epoll_ctl, self.fd, how, self.source, self.at, 0, 0)

    def arm(self):
        self.tell(CHANGE, calls.POLLIN)

    def disarm(self):
        self.tell(CHANGE, SILENT)
