"""Functions in machine code for the queue algebra: each is called by its address, and no interpreter runs for it.

A function gets each array as a struct demi_sgarray (libos/capi/include/demi/types.h), of which `sga_numsegs` and
`sga_segs` are filled in, and a context, a pointer that its program has given. It returns an int, a negative one to
fail; it runs on the data path, in whatever thread pops, and must neither block nor call Python or a libOS.
"""

from libos import raw
from libos.capi import layout as c
from libos.core import layout
from libos.sgarray import address_of

COMPILED = __file__.endswith(".so")


class NativeFunction:
    """`address` of the function, of two arrays and the context if it is an Order and else of one; `context`: an object
    with the buffer protocol, or None for NULL; `owner`: what keeps the code in memory.
    """

    def __init__(self, address, context, owner):
        self.address = address
        self.owner = owner
        self.context = None if context is None else memoryview(context)
        self.context_at = 0 if context is None else address_of(self.context)
        self.room = memoryview(bytearray(2 * c.SGA_SIZE))
        self.at = address_of(self.room)

    def lay_out(self, sga, at):
        """An array as a struct at `at`. Raises ValueError when it has too many or too large segments for that."""
        count = len(sga.segments)
        if count > layout.SEGMENTS_MAX:
            raise ValueError(f"an array of {count} segments, of which a native function can have {layout.SEGMENTS_MAX}")
        place = at + c.SGA_SEGMENTS
        i = 0
        while i < count:
            size = len(sga.segments[i])
            if size >> 32:
                raise ValueError(f"a segment of {size} bytes, of which a native function can have 4294967295")
            raw.store(place, address_of(sga.segments[i]))
            raw.store32(place + 8, size)
            place += c.SGA_SEGMENT
            i += 1
        raw.store32(at + c.SGA_COUNT, count)

    def called(self):
        """What the function says of the array that is laid out. Raises ValueError when that is negative."""
        said = raw.call2(self.address, self.at, self.context_at)
        if said < 0:
            raise ValueError(f"a native one returned {said}")
        return said

    def passed(self, sga):
        """The element, when it is passed on; None when it was dropped and freed. Raises ValueError."""
        raise NotImplementedError


class Predicate(NativeFunction):
    """int keeps(const struct demi_sgarray *, void *): not 0 to keep an element."""

    POINTERS = 2

    def passed(self, sga):
        self.lay_out(sga, self.at)
        if self.called():
            return sga
        sga.free()
        return None


class Change(NativeFunction):
    """int makes(struct demi_sgarray *, void *): changes bytes where they are, and which of them each segment has."""

    POINTERS = 2

    def passed(self, sga):
        for segment in sga.segments:
            if segment.readonly:
                raise ValueError("read-only memory, which a native one may not have")
        self.lay_out(sga, self.at)
        self.called()
        self.narrow(sga)
        return sga

    def narrow(self, sga):
        """The array becomes what the struct has now. Raises ValueError for nothing, and for what isn't the array's."""
        count = raw.load32(self.at + c.SGA_COUNT)
        if count > len(sga.segments):
            raise ValueError(f"a native one made {count} segments of {len(sga.segments)}")
        left = []
        whole = count == len(sga.segments)
        place = self.at + c.SGA_SEGMENTS
        i = 0
        while i < count:
            segment = sga.segments[i]
            size = len(segment)
            first = raw.load(place) - address_of(segment)
            length = raw.load32(place + 8)
            if first < 0 or first > size or length > size - first:
                raise ValueError("a native one left the memory of its array")
            if length != size:
                whole = False
                segment = segment[first : first + length]
            if length:
                left.append(segment)
            place += c.SGA_SEGMENT
            i += 1
        if not left:
            raise ValueError("a native one left nothing")
        if not whole:
            sga.segments = left


class Order(NativeFunction):
    """int compares(const struct demi_sgarray *, const struct demi_sgarray *, void *): as those of qsort_r(3)."""

    POINTERS = 3

    def compared(self, one, other):
        self.lay_out(one, self.at)
        self.lay_out(other, self.at + c.SGA_SIZE)
        return raw.call3(self.address, self.at, self.at + c.SGA_SIZE, self.context_at)
