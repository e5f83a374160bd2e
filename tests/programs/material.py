"""Bytes that every run makes anew and makes the same, and their name."""

import functools
import hashlib
import random


@functools.lru_cache(64)
def content(size):
    """`size` bytes that look random and depend on `size` alone."""
    return random.Random(size).randbytes(size)


def sha(data):
    """SHA-256 of `data`, hexadecimal."""
    return hashlib.sha256(data).hexdigest()
