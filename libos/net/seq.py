"""Arithmetic that would differ between the two modes if it were written out: sequence numbers (RFC 9293, section
3.4) of 32 bits that wrap, and times in nanoseconds. Compiled code has these inline (seq.pxd).
"""


def add(a, n):
    """The sequence number `n` behind `a`; n may be negative."""
    return (a + n) & 0xFFFFFFFF


def diff(a, b):
    """How far `a` is behind `b`, 0 to 2**32-1: of numbers whose order is known."""
    return (a - b) & 0xFFFFFFFF


def gap(a, b):
    """How far `a` is behind `b`, negative where it is before."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def lt(a, b):
    return gap(a, b) < 0


def le(a, b):
    return gap(a, b) <= 0


def gt(a, b):
    return gap(b, a) < 0


def ge(a, b):
    return gap(b, a) <= 0


def milliseconds(n):
    """In nanoseconds."""
    return n * 1000000


def low32(n):
    """The lower half of a word: of a mapped IPv4 address all of it."""
    return n & 0xFFFFFFFF


def words(upper, lower):
    """A word of 64 bits of its halves."""
    return upper << 32 | lower


def number(n):
    """An unsigned field that takes part in signed arithmetic."""
    return n


def earlier(a, b):
    """The sooner of two deadlines, of which 0 is none."""
    return b if a == 0 or (b != 0 and b < a) else a


def shift(n, bits):
    return n << bits
