"""System calls that Python's standard library lacks, as questions about what this process may do. For doctor only."""

import ctypes
import errno

MEMBARRIER, IO_URING_SETUP = 324, 425  # numbers of x86-64
QUERY = 0
PRIVATE_EXPEDITED = 1 << 3


def call(number, *arguments):
    """syscall(2) with whole numbers: its result, or -errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    return -ctypes.get_errno() if result < 0 else result


def membarrier():
    """Does membarrier(2) offer the private expedited barrier?"""
    commands = call(MEMBARRIER, QUERY, 0, 0)
    return commands > 0 and bool(commands & PRIVATE_EXPEDITED)


def io_uring():
    """ "available", "forbidden" or "missing": asked with no entries, so that none is ever made (io_uring_setup(2))."""
    answer = -call(IO_URING_SETUP, 0, 0)
    return {errno.ENOSYS: "missing", errno.EPERM: "forbidden", errno.EACCES: "forbidden"}.get(answer, "available")
