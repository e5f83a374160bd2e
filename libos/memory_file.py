"""Files in memory that two processes share: sealed memfds at descriptor numbers out of the program's way
(memfd_create(2)).
"""

import os
import resource
from fcntl import fcntl

from libos import raw

F_ADD_SEALS, F_GET_SEALS, F_DUPFD_CLOEXEC = 1033, 1034, 1030
SEAL, SHRINK, GROW = 1, 2, 4
SYS_mmap, SYS_munmap = 9, 11
READ, READ_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_FIXED = 1, 3, 0x4001, 0x4022, 0x10  # two with MAP_NORESERVE


class Announce:
    """Who has to know of our descriptors, so that the program's sweeps over all numbers pass them by."""

    to = None
    numbers = set()  # those that there have been


def high(fd):
    """Move a descriptor of ours out of the way of the numbers that the program will get."""
    try:
        moved = high_copy(fd)
    except OSError:
        return announced(fd)
    os.close(fd)
    return moved


def high_copy(fd):
    """A copy of a descriptor, out of the way from the first on. Raises OSError."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # not higher: the kernel's table is as long as the highest number needs, and select(2) reads as far
    return announced(fcntl(fd, F_DUPFD_CLOEXEC, max(min(limit, 1024) - 64, 3)))


def announced(fd):
    Announce.numbers.add(fd)
    if Announce.to:
        Announce.to(fd)
    return fd


def sealed(name, size):
    """A memfd of `size` zero bytes that nobody can shrink or grow. Raises OSError."""
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if 0 <= largest < size:
        raise OSError(27, "RLIMIT_FSIZE leaves no room for shared memory")  # asking for it would send SIGXFSZ
    fd = high(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    os.ftruncate(fd, size)
    fcntl(fd, F_ADD_SEALS, SHRINK | GROW | SEAL)
    return fd


def mapped(fd, size, length, offset, writable, place=0):
    """Address of `length` bytes at `offset` of a memfd, once it has shown to be sealed and of `size` bytes. Raises
    OSError.
    """
    flags = MAP_SHARED | (MAP_FIXED if place else 0)
    if os.fstat(fd).st_size != size or fcntl(fd, F_GET_SEALS) & (SHRINK | GROW) != SHRINK | GROW:
        raise OSError(22, "not a segment of ours")
    address = raw.syscall(SYS_mmap, place, length, READ_WRITE if writable else READ, flags, fd, offset)
    if address <= 0:
        raise OSError(-address, "mmap")
    return address


def private(size):
    """Address of `size` zero bytes of our own that take memory only where they are touched. Raises OSError."""
    address = raw.syscall(SYS_mmap, 0, size, READ_WRITE, MAP_PRIVATE, -1, 0)
    if address <= 0:
        raise OSError(-address, "mmap")
    return address
