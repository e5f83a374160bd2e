"""A file or block device whose requests are done when they are asked for, by a system call of the thread that asks: for
whoever has nothing else to wait for. The GIL is let go of meanwhile.
"""

import ctypes
from collections import deque

from libos.blocks.block_device import BlockDevice

DEPTH = 64
RWF_DSYNC = 2  # linux/fs.h


def function(name, *kinds):
    """A function of libc's that takes words and answers one."""
    found = getattr(ctypes.CDLL(None), name)
    found.argtypes, found.restype = kinds, ctypes.c_long
    return found


class WaitingDevice(BlockDevice):
    """Over a BlockFile."""

    def __init__(self, file):
        BlockDevice.__init__(self, file.size, file.block, file.align, DEPTH, True, file.write_through)
        self.fd = file.fd
        word, number = ctypes.c_size_t, ctypes.c_int
        self.pwritev2 = function("pwritev2", number, word, number, ctypes.c_long, number)
        self.pread = function("pread", number, word, word, ctypes.c_long)
        self.finished = deque()

    def write(self, tag, offset, vector, count, durable):
        flags = RWF_DSYNC if durable and not self.write_through else 0
        self.finished.append((tag, self.pwritev2(self.fd, vector, count, offset, flags)))
        return True

    def read(self, tag, offset, address, length):
        self.finished.append((tag, self.pread(self.fd, address, length, offset)))
        return True

    def completion(self):
        if not self.finished:
            return 0
        tag, self.result = self.finished.popleft()
        return tag

    def bell(self):
        return -1
