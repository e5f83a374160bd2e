"""Files durable in their own place, by the kernel."""

import ctypes
import posix

from interpose import file_state
from libos.blocks.waiting import function


class NotDurable(Exception):
    """The kernel's own fsync has failed, which it says once."""


def durable(fd):
    try:
        posix.fsync(fd)
    except OSError as error:
        raise NotDurable(error.errno)


class Places:
    """Of the files below `prefix`, bytes."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.syncfs = function("syncfs", ctypes.c_int)

    def sync_file(self, path, inode):
        """Make a file durable; whatever there is, where it has another name by now."""
        try:
            fd = posix.open(self.prefix + b"/" + path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
        except OSError:
            return self.sync_all()
        try:
            if file_state.of_number(fd).key[1] != inode:
                return self.sync_all()
            posix.fsync(fd)
        finally:
            posix.close(fd)

    def sync_all(self):
        """Make everything durable that the prefix's file system has."""
        fd = posix.open(self.prefix, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            if self.syncfs(fd) != 0:
                raise OSError(5, "syncfs")
        finally:
            posix.close(fd)
