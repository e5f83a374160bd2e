"""The interpreted twin of checksum.h."""

from ctypes import string_at

POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected


def row(n):
    for _ in range(8):
        n = n >> 1 ^ (POLYNOMIAL if n & 1 else 0)
    return n


TABLE = tuple(row(n) for n in range(256))


def crc32c(a, n, before):
    crc, table = before ^ 0xFFFFFFFF, TABLE
    for byte in string_at(a, n):
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
