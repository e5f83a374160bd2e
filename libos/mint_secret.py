"""A secret that the programs of several machines share: who knows it may meet them by Catmint (libos/mint_abroad.py).

What is said under it carries a seal, a keyed BLAKE2b (RFC 7693). Nobody else can make one, and one is good for nothing
but what it was made for.
"""

import os
import stat
from _blake2 import blake2b  # hashlib would bring OpenSSL into the program

SEAL = 16  # bytes
SHORTEST, LONGEST = 16, 4096  # bytes of such a file


class Secret:
    """Of the file `path`. Raises OSError, ValueError."""

    def __init__(self, path):
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(LONGEST)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"others may read or write {path}")
        if len(text) < SHORTEST:
            raise ValueError(f"{path} has fewer than {SHORTEST} bytes")
        self.key = blake2b(text).digest()

    def seal(self, purpose, text):
        return blake2b(b"%s %s" % (purpose, text), key=self.key, digest_size=SEAL).digest()

    def sealed(self, purpose, text):
        """A line of `text`, which has none of its own, and its seal."""
        return b"%s %s\n" % (text, self.seal(purpose, text).hex().encode())

    def opened(self, purpose, line):
        """The text of such a line. Raises ValueError."""
        text, _, seal = line.removesuffix(b"\n").rpartition(b" ")
        if not same(bytes.fromhex(seal.decode("ascii")), self.seal(purpose, text)):
            raise ValueError("it does not know the secret")
        return text


def same(one, other):
    """Whether two seals are the same, in a time that does not tell where they differ."""
    if len(one) != len(other):
        return False
    difference = 0
    for a, b in zip(one, other, strict=True):
        difference |= a ^ b
    return difference == 0
