"""Scatter-gather arrays: the elements of every queue (SOSP '21, section 4.2).

Segments are memoryviews of heap objects (or of anything that speaks the buffer protocol, kept alive by reference).
Ownership: push shares the array with the libOS until its qtoken completes; pop gives it to the application.
"""

from libos import raw
from libos.errors import Fail, Kind
from libos.runtime.memory import Heap

COMPILED = __file__.endswith(".so")


def address_of(view):
    """Where the bytes of a memoryview lie, which may be read-only. Valid as long as the view lives.

    Raises TypeError, and BufferError when they don't lie side by side.
    """
    if type(view) is not memoryview:
        raise TypeError(f"a memoryview, not a {type(view).__name__}")
    at = raw.view_at(view)
    if at == 0:
        raise BufferError("bytes that don't lie side by side")
    return at


class SGArray:
    """`segments`: writable memoryviews of bytes. `len()` is their sum."""

    __slots__ = ("segments", "heap", "addresses", "alive")

    def __init__(self, segments, heap=None, addresses=()):
        self.segments = segments
        self.heap = heap
        self.addresses = addresses
        self.alive = True

    @classmethod
    def alloc(cls, heap: Heap, size: int) -> "SGArray":
        """One segment of `size` bytes from `heap`. Raises INVALID, NO_MEMORY."""
        if size <= 0:
            raise Fail(Kind.INVALID, f"an array of {size} bytes")
        address = heap.alloc(size)
        if not address:
            raise Fail(Kind.NO_MEMORY, f"no heap object of {size} bytes")
        from ctypes import c_char

        return cls([memoryview((c_char * size).from_address(address)).cast("B")], heap, (address,))

    @classmethod
    def of(cls, *buffers: bytes | bytearray | memoryview) -> "SGArray":
        """An array over the caller's own buffers; nothing is copied."""
        return cls([memoryview(b).cast("B") for b in buffers])

    def __bool__(self) -> bool:
        return True  # an empty one, the end of a stream, holds memory too

    def __len__(self) -> int:
        return self.length()

    def length(self):
        total = 0
        for segment in self.segments:
            total += len(segment)
        return total

    def __bytes__(self) -> bytes:
        return b"".join(self.segments)

    def trim(self, size: int) -> None:
        """Keep the first `size` bytes."""
        kept = []
        for segment in self.segments:
            if size <= 0:
                break
            kept.append(segment[:size])
            size -= len(segment)
        self.segments = kept

    def hold(self):
        """Another reference for the libOS; returns the function that gives it back."""
        self.retain()
        return self.release if self.addresses else None

    def retain(self):
        for address in self.addresses:
            self.heap.retain(address)

    def release(self):
        for address in self.addresses:
            self.heap.release(address)

    def handed_over(self):
        """The same memory as a new array of its popper, who frees it. A reference of the libOS becomes the popper's."""
        for address in self.addresses:
            self.heap.hand_over(address)
        handed = SGArray.__new__(SGArray)
        handed.segments, handed.heap, handed.addresses, handed.alive = self.segments, self.heap, self.addresses, True
        return handed

    def __enter__(self) -> "SGArray":
        return self

    def __exit__(self, *exception: object) -> None:
        """`with result.sga as sga:` frees it at the end, unless that has been done."""
        if self.alive:
            self.free()

    def free(self) -> None:
        """The application lets go. Raises INVALID the second time."""
        if not self.alive:
            raise Fail(Kind.INVALID, "freed before")
        self.alive = False
        for address in self.addresses:
            self.heap.free(address)
