"""The interpreted twins of raw.h, by ctypes. Atomic as far as the GIL makes them: right for interpreted mode only."""

import ctypes

_M64 = (1 << 64) - 1
_u64 = ctypes.c_uint64.from_address
_u32 = ctypes.c_uint32.from_address
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = [ctypes.c_long] * 7


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


def compare_exchange(a, expected, desired):
    word = _u64(a)
    if word.value != expected:
        return False
    word.value = desired
    return True


def copy(d, s, n):
    ctypes.memmove(d, s, n)


def bit(n):
    return 1 << n


def invert(v):
    return ~v & _M64


def ctz(v):
    return (v & -v).bit_length() - 1


def width(v):
    return v.bit_length()


def population(v):
    return v.bit_count()


def syscall(n, a=0, b=0, c=0, d=0, e=0, f=0):
    r = _libc.syscall(n, a, b, c, d, e, f)
    return -ctypes.get_errno() if r == -1 else r


def address_of(function):
    raise TypeError(f"{function!r} has no native address: this module is interpreted")
