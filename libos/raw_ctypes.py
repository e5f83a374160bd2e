"""The interpreted twins of raw.h, by ctypes. Atomic between processes too, where machine code may be made; elsewhere as
far as the GIL makes them.
"""

import ctypes
import struct
import time

from libos import raw_machine

_M64 = (1 << 64) - 1
_u64 = ctypes.c_uint64.from_address
_u32 = ctypes.c_uint32.from_address
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = [ctypes.c_long] * 7
# these keep the GIL, as a jump does
_of_two = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)
_of_three = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)


def load(a):
    return _u64(a).value


def load32(a):
    return _u32(a).value


def store(a, v):
    _u64(a).value = v


def store32(a, v):
    _u32(a).value = v


def fetch_or(a, v):
    word = _u64(a)
    before = word.value
    word.value = before | v
    return before


def fetch_and(a, v):
    word = _u64(a)
    before = word.value
    word.value = before & v
    return before


def fetch_add(a, v):
    word = _u64(a)
    before = word.value
    word.value = (before + v) & _M64
    return before


def exchange(a, v):
    word = _u64(a)
    before, word.value = word.value, v
    return before


def compare_exchange(a, expected, desired):
    word = _u64(a)
    if word.value != expected:
        return False
    word.value = desired
    return True


def compare_exchange_own(a, expected, desired):
    """Of a word that no other process has."""
    return compare_exchange(a, expected, desired)


def prefetch(a):
    """Caches are far below an interpreter."""


def claim(a):
    """As prefetch."""


def copy(d, s, n):
    ctypes.memmove(d, s, n)


def bit(n):
    return 1 << n


def invert(v):
    return ~v & _M64


def ctz(v):
    return (v & -v).bit_length() - 1


def fence():
    """The GIL orders our memory accesses; the peer's loads are ordered by the kernel calls between."""


def pause():
    """Let another thread have the GIL: a spin that keeps it would wait for itself."""
    time.sleep(0)


def now():
    return time.monotonic_ns()


def width(v):
    return v.bit_length()


def population(v):
    return v.bit_count()


def syscall(n, a=0, b=0, c=0, d=0, e=0, f=0):
    r = _libc.syscall(n, a, b, c, d, e, f)
    return -ctypes.get_errno() if r == -1 else r


def call2(function, a, b):
    return _of_two(function)(a, b)


def call3(function, a, b, c):
    return _of_three(function)(a, b, c)


def memory(a, n):
    return memoryview((ctypes.c_char * n).from_address(a)).cast("B")


def view_at(view):
    if not view.c_contiguous:
        return 0
    fields = (ctypes.c_void_p * 10)()  # struct Py_buffer: the address, the object, and eight more words
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), fields, 0)
    try:
        return fields[0]
    finally:
        ctypes.pythonapi.PyBuffer_Release(fields)


def ended(pid):
    fd = syscall(434, pid)
    if fd < 0:
        return fd == -3
    try:
        return bool(polled(fd, 1))
    finally:
        syscall(3, fd)


def replaced(pid, at):
    word = ctypes.c_uint64()
    here, there = (ctypes.c_uint64 * 2)(ctypes.addressof(word), 8), (ctypes.c_uint64 * 2)(at, 8)
    r = syscall(310, pid, ctypes.addressof(here), 1, ctypes.addressof(there), 1, 0)
    return r == -14 or r == 8 and word.value != load(at)


def running():
    try:
        with open("/proc/loadavg") as file:
            return int(file.read().split()[3].partition("/")[0])
    except OSError:
        return 0


def waited():
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[1])
    except (OSError, IndexError):
        return -1


def polled(fd, events):
    on = (ctypes.c_short * 4)(*struct.unpack("=4h", struct.pack("=ihh", fd, events, 0)))
    return on[3] if syscall(7, ctypes.addressof(on), 1, 0) == 1 else 0


def tcp_info(fd):
    """(state, unsent, bytes received, bytes sent, bytes sent again) of a TCP socket (linux/tcp.h, struct tcp_info)."""
    info = ctypes.create_string_buffer(256)
    length = ctypes.c_uint32(256)
    if syscall(55, fd, 6, 11, ctypes.addressof(info), ctypes.addressof(length)) != 0 or length.value < 216:
        return 0, 0, 0, 0, 0
    word = struct.unpack_from
    received, unsent = word("<Q", info, 128)[0], word("<I", info, 144)[0]
    return info.raw[0], unsent, received, *word("<QQ", info, 200)


def kernel_sent(fd):
    state, unsent, _, sent, again = tcp_info(fd)
    return sent - again + unsent if state == 1 else -1


def kernel_received(fd):
    before, unread = tcp_info(fd), ctypes.c_int(0)
    if before[0] != 1 or syscall(16, fd, 0x541B, ctypes.addressof(unread)) != 0:
        return -1
    after = tcp_info(fd)
    return after[2] - unread.value if after[0] == 1 and after[2] == before[2] else -1


at_end = []  # what the C library has been given


def at_exit(function):
    """Have the C library call a function of one pointer when the process ends."""
    at_end.append(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(function))
    _libc.__cxa_atexit(at_end[-1], None, None)


globals().update(raw_machine.functions(syscall))


def address_of(function):
    raise TypeError(f"{function!r} has no native address: this module is interpreted")
