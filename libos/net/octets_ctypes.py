"""The interpreted twins of octets.h."""

import ctypes

M64 = (1 << 64) - 1
_string = ctypes.string_at
_byte = ctypes.c_ubyte.from_address


def _getter(size):
    return lambda a: int.from_bytes(_string(a, size), "big")


def _putter(size):
    mask = (1 << 8 * size) - 1
    return lambda a, v: ctypes.memmove(a, (v & mask).to_bytes(size, "big"), size) and None


get16, get32, get48, get64 = (_getter(size) for size in (2, 4, 6, 8))
put16, put32, put48, put64 = (_putter(size) for size in (2, 4, 6, 8))


def get8(a):
    return _byte(a).value


def put8(a, v):
    _byte(a).value = v & 0xFF


def copy(d, s, n):
    ctypes.memmove(d, s, n)


move = copy


def zero(d, n):
    ctypes.memset(d, 0, n)


def sum(a, n, sum):
    # as one large number: 65536 is 1 where 65535 is 0
    total = sum + int.from_bytes(_string(a, n) + b"\0" * (n & 1), "big")
    return (total - 1) % 0xFFFF + 1 if total else 0


def remainder(a, n):
    return int.from_bytes(_string(a, n) + b"\0" * (-n & 7), "big") % ((1 << 61) - 1)


def _rotate(x, b):
    return (x << b | x >> (64 - b)) & M64


def _round(v0, v1, v2, v3):
    v0, v2 = (v0 + v1) & M64, (v2 + v3) & M64
    v1, v3, v0 = _rotate(v1, 13) ^ v0, _rotate(v3, 16) ^ v2, _rotate(v0, 32)
    v2, v0 = (v2 + v1) & M64, (v0 + v3) & M64
    return v0, _rotate(v1, 17) ^ v2, _rotate(v2, 32), _rotate(v3, 21) ^ v0


def hash(k0, k1, a, b, c, d, e, f):
    v = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
    for word in (a, b, c, d, e, f, 48 << 56):
        v = _round(*_round(v[0], v[1], v[2], v[3] ^ word))
        v = (v[0] ^ word, *v[1:])
    v = (v[0], v[1], v[2] ^ 0xFF, v[3])
    for _ in range(4):
        v = _round(*v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def mix(key, a, b, c):
    h = (key ^ a) * 0x9E3779B97F4A7C15 & M64
    h = (h ^ h >> 29 ^ b) * 0xBF58476D1CE4E5B9 & M64
    h = (h ^ h >> 32 ^ c) * 0x94D049BB133111EB & M64
    return h ^ h >> 31
