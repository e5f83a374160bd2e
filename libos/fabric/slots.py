# cython: infer_types=True
"""Memory for records: tables of slots of one size, cut out of one area."""

from libos import raw
from libos.net import octets


class Area:
    """`room` bytes of zeros at `base`, a multiple of 64, that are handed out once."""

    def __init__(self, base, room):
        self.base = base
        self.room = room
        self.used = 0

    def take(self, size):
        """Address of `size` bytes. Raises MemoryError."""
        at = self.base + self.used
        self.used += (size + 63) // 64 * 64
        if self.used > self.room:
            raise MemoryError(f"the core of Catmint needs more than {self.room} bytes for its records")
        return at


class Slots:
    """`count` slots of `size` bytes, numbered from 0."""

    def __init__(self, area, size, count):
        self.size = (size + 63) // 64 * 64
        self.count = count
        self.base = area.take(self.size * count)
        self.chain = 0  # of slots that were given back
        self.touched = 0  # slots that have ever been used
        self.used = 0

    def take(self):
        """Address of a slot of zeros, 0 when all are used."""
        at = self.chain
        if at:
            self.chain = raw.load(at)
            octets.zero(at, self.size)
        elif self.touched < self.count:
            at = self.base + self.touched * self.size
            self.touched += 1
        else:
            return 0
        self.used += 1
        return at

    def give(self, at):
        """The slot is free again. Its first word is not its owner's any more."""
        octets.zero(at, self.size)
        raw.store(at, self.chain)
        self.chain = at
        self.used -= 1

    def number(self, at):
        return (at - self.base) // self.size

    def slot(self, number):
        """Address of a slot that may be free."""
        return self.base + number * self.size
