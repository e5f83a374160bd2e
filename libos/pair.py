"""The shared memory of two processes: slots for their connections, and which of them have news for whose epoll sets.

One memfd, sealed against shrinking and growing, never written to disk, sparse: a page of dirty bits (libos/rings.py,
soil) for each side, a page for each connection (two headers and the smallest rings), and for each connection a region
of larger rings that takes memory only where it is touched. The side that made the pair hands out the odd slots, the
other the even ones; a slot is free again when both ends have said that they are gone.
"""

import os
from collections import deque

from libos import layout, raw
from libos.memory_file import SYS_munmap, mapped, private, sealed

REGION = layout.MIDDLE + layout.BIG
HEADS = 4096 + layout.SLOTS * layout.SLOT_SIZE
SIZE = HEADS + 2 * layout.SLOTS * REGION
HEADERS = (0, layout.HEADER)
PATIENCE = 8  # slots given out before that are looked at for one that is free again
MADV_REMOVE, SYS_madvise = 9, 28


class Pair:
    """One process's mapping of a pair. `side` is 1 for who made it.

    `block` is what scanning threads see of it: the address of the control page, the side, the next block, and from 64
    on the end that each slot belongs to.
    """

    def __init__(self, fd, side):
        self.fd = fd
        self.side = side
        self.base = mapped(fd, SIZE, HEADS, 0, True)
        self.identity = os.fstat(fd).st_ino
        self.block = private(64 + layout.SLOTS * 8)
        raw.store(self.block, self.base)
        raw.store(self.block + 8, side)
        self.live = 0
        self.given = deque()
        self.fresh = side

    def close(self):
        """No end of ours is in it, and no scan can be looking at it."""
        raw.syscall(SYS_munmap, self.base, HEADS, 0, 0, 0, 0)
        raw.syscall(SYS_munmap, self.block, 64 + layout.SLOTS * 8, 0, 0, 0, 0)
        os.close(self.fd)

    def slot_at(self, slot):
        return self.base + 4096 + slot * layout.SLOT_SIZE

    def take_slot(self):
        """A slot of ours that nobody uses, its headers cleared; -1 when there is none."""
        for _ in range(min(len(self.given), PATIENCE)):
            slot = self.given.popleft()
            self.given.append(slot)
            at = self.slot_at(slot)
            if raw.load(self.block + 64 + slot * 8) == 0 and all(raw.load(at + h + layout.H_GONE) for h in HEADERS):
                for offset in range(0, 2 * layout.HEADER, 8):
                    raw.store(at + offset, 0)
                return slot
        if self.fresh >= layout.SLOTS:
            return -1
        slot, self.fresh = self.fresh, self.fresh + 2
        self.given.append(slot)
        return slot

    def attach(self, end, slot):
        """Fill the end's record for the connection in `slot`. Nothing moves to the rings before the receivers agree."""
        at = self.slot_at(slot)
        if os.fstat(self.fd).st_ino != self.identity:
            raise OSError(9, "the pair's descriptor was closed by the program")
        region = mapped(self.fd, SIZE, 2 * REGION, HEADS + slot * 2 * REGION, True)
        # direction 0 is towards side 1
        inward, outward = (0, 1) if self.side else (1, 0)
        raw.store(end + layout.BASE, at)
        raw.store(end + layout.PAIR, self.block)
        raw.store(end + layout.SLOT, slot)
        raw.store(end + layout.DIRTY, self.base + (0 if self.side else layout.SIDE))
        raw.store(end + layout.REGION_IN, region + inward * REGION)
        raw.store(end + layout.REGION_OUT, region + outward * REGION)
        raw.store(end + layout.IN_RING, at + layout.SMALL_RINGS + inward * layout.SMALL)
        raw.store(end + layout.OUT_RING, at + layout.SMALL_RINGS + outward * layout.SMALL)
        raw.store(end + layout.IN_MASK, layout.SMALL - 1)
        raw.store(end + layout.OUT_MASK, layout.SMALL - 1)
        raw.store(end + layout.OUT, at + outward * layout.HEADER)
        raw.store(self.block + 64 + slot * 8, end)
        self.live += 1
        raw.store(end + layout.IN, at + inward * layout.HEADER)  # last: it says that the end is attached

    def detach(self, end):
        """The end's last process lets go; nobody is inside any more."""
        slot = raw.load(end + layout.SLOT)
        header = raw.load(end + layout.IN)
        if raw.load(self.block + 64 + slot * 8) == end:
            raw.store(self.block + 64 + slot * 8, 0)
            self.live -= 1
        # a peer that has still to send once more what we gave back reads it there
        owed = raw.load(end + layout.LEFT) and not raw.load(header + layout.H_RETURNED)
        if raw.load(header + layout.H_GROWN) and not owed:
            raw.syscall(SYS_madvise, raw.load(end + layout.REGION_IN), REGION, MADV_REMOVE, 0, 0, 0)
        raw.store(header + layout.H_GONE, 1)
        raw.syscall(
            SYS_munmap, min(raw.load(end + layout.REGION_IN), raw.load(end + layout.REGION_OUT)), 2 * REGION, 0, 0, 0, 0
        )


def make():
    """A new pair; we are side 1."""
    return Pair(sealed("catflap-pair", SIZE), 1)
