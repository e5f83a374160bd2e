# cython: infer_types=True
"""Memory for connections and what they carry: blocks of powers of two out of one reservation."""

from libos import raw
from libos.net import octets

SYS_mmap, SYS_munmap, SYS_madvise = 9, 11, 28


class Pool:
    """Up to `room` bytes of address space, that take memory where they are touched; at `at` where that is free. Raises
    MemoryError.
    """

    def __init__(self, room, at=0):
        self.room = room
        self.base = self.lists_at = 0
        self.used = 0
        address = raw.syscall(SYS_mmap, at, room, 3, 0x4022, -1, 0)  # private, anonymous, MAP_NORESERVE
        if address < 0:
            raise MemoryError(f"no address space for {room} bytes of network buffers")
        self.base = self.lists_at = address
        self.bumped = 4096  # the heads of the free lists are in the first page

    def take(self, size):
        """Address of at least `size` zero bytes, 0 when the room is used up."""
        kind = self.kind_of(size)
        rounded = self.rounded(kind)
        head = self.lists_at + kind * 8
        address = raw.load(head)
        if address:
            raw.store(head, raw.load(address))
            octets.zero(address, 8 if rounded >= 65536 else rounded)
        elif self.bumped + rounded + 4096 <= self.room:
            if rounded >= 65536:
                self.bumped = (self.bumped + 4095) // 4096 * 4096  # whole pages, so that they can be given back
            address = self.base + self.bumped
            self.bumped += rounded
        else:
            return 0
        self.used += rounded
        return address

    def give(self, address, size):
        """Give back what was taken with this `size`."""
        kind = self.kind_of(size)
        rounded = self.rounded(kind)
        if rounded >= 65536:  # the system's again, and zero
            raw.syscall(SYS_madvise, address, rounded, 4, 0, 0, 0)  # madvise, MADV_DONTNEED
        raw.store(address, raw.load(self.lists_at + kind * 8))
        raw.store(self.lists_at + kind * 8, address)
        self.used -= rounded

    def rounded(self, kind):
        return raw.bit(kind)

    def kind_of(self, size):
        """The power of two that holds `size`, from 64 bytes on."""
        return 6 if size <= 64 else raw.width(size - 1)

    def close(self):
        """Nothing of the pool may be used any more."""
        if self.base:
            raw.syscall(SYS_munmap, self.base, self.room, 0, 0, 0, 0)
            self.base = 0
