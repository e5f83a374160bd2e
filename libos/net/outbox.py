# cython: infer_types=True
"""Where frames wait to go out: slots of a size in a ring that the caller of the stack owns and empties."""

from libos import raw
from libos.net import octets, structs
from libos.net.tape import Tape


class Outbox:
    """Room for `capacity` (a power of two) frames of up to `largest` bytes, at `base` or taken from `pool`. Raises
    MemoryError.
    """

    def __init__(self, pool, capacity, largest):
        self.tape = Tape()
        self.slot = (largest + 16 + 63) // 64 * 64
        self.capacity = capacity
        self.base = pool.take(self.slot * capacity)
        self.head = self.count = 0
        if not self.base:
            raise MemoryError("no room for frames")

    def place(self, index):
        return self.base + ((self.head + index) & (self.capacity - 1)) * self.slot

    def reserve(self):
        """Address where the next frame may be written, 0 when all slots are full."""
        if self.count == self.capacity:
            return 0
        return self.place(self.count) + 16

    def commit(self, length):
        """What lies where `reserve` said is a frame. Above 32 bits of `length` is what its device is to do."""
        raw.store(self.place(self.count), length)
        self.count += 1

    def put(self, address, length):
        """Copy a frame in; false when there is no slot."""
        at = self.reserve()
        if at == 0 or length > self.slot - 16:
            return False
        octets.copy(at, address, length)
        self.commit(length)
        return True

    def frame(self, index):
        """Address of the frame that is `index` places behind the oldest."""
        return self.place(index) + 16

    def length(self, index):
        return raw.load32(self.place(index))

    def listed(self, entries, limit):
        """Write (address, length as committed) of the oldest frames, `limit` at most, to an array: how many."""
        n = self.count if self.count < limit else limit
        for i in range(n):
            raw.store(entries + i * 16, self.frame(i))
            raw.store(entries + i * 16 + 8, raw.load(self.place(i)))
        return n

    def drop(self, frames):
        """Forget the oldest frames: they have been sent."""
        if self.tape.on:
            self.tape.call(structs.CALL_DROP, frames, 0, 0, 0, 0, 0)
            return
        self.count -= frames
        # where it is empty, the slots that were used last come first: they are in the cache
        self.head = (self.head + frames) & (self.capacity - 1) if self.count else 0

    def contents(self):
        """The frames as bytes, and none is left: for tools and tests."""
        import ctypes

        frames = [ctypes.string_at(self.frame(i), self.length(i)) for i in range(self.count)]
        self.drop(self.count)
        return frames
