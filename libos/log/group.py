"""A group: what goes to the device in one request, and is durable as a whole (docs/cattree.md, Format).

Small payloads are copied behind the records, large ones stay where they are, but for a last partial block. What an
entry names has to stay as it is until the group is done.
"""

from libos import raw
from libos.log import checksum, layout

COMPILED = __file__.endswith(".so")
SEED = 0xFFFFFFFF  # what of a volume's name checksums of headers begin with


class Entry:
    """One record on its way: `kind`, `number` of the log, `offset` in it (given to data with its group), payload.

    `parts`: (address, length) of each piece of a payload that has several; `address`: of one in a single piece.
    `place`: of the payload in the group. `done`: durable, or not and `failure` says why (a name of errors.Kind).
    """

    def __init__(self, kind, number, offset, address, length, keep=None, parts=None):
        self.kind = kind
        self.number = number
        self.offset = offset
        self.address = address
        self.length = length
        self.keep = keep
        self.parts = parts
        self.crc = self.place = 0
        self.done = False
        self.failure = None


class Group:
    """Room for one group at a time: `head` for header, records and small payloads, `tails` for last partial blocks,
    `vector` for what the device takes (address, length, as struct iovec), each 1 MiB, 1 MiB and 16 KiB, aligned.
    """

    def __init__(self, heap, block, align, volume):
        self.room = 1 << 20
        self.head = heap.alloc(self.room)
        self.tails = heap.alloc(self.room)
        self.vector = heap.alloc(16384)
        self.zeros = heap.alloc(4096)
        if not (self.head and self.tails and self.vector and self.zeros):
            raise MemoryError("no heap for the groups of a log")
        at = 0
        while at < 4096:
            raw.store(self.zeros + at, 0)
            at += 8
        self.block = block
        self.align = align
        self.volume = volume
        self.count = self.pieces = self.blocks = self.head_size = 0

    def memory(self):
        """The heap objects of this group."""
        return self.head, self.tails, self.vector, self.zeros

    def large(self, entry):
        return entry.length >= layout.LARGE and entry.parts is None and entry.address & (self.align - 1) == 0

    def rounded(self, size):
        """Bytes of as many whole blocks."""
        return (size + self.block - 1) & ~(self.block - 1)

    def choose(self, entries, room):
        """How many of the entries go together into `room` bytes. 0: not even the first."""
        n = small = outside = large = 0
        for entry in entries:
            if self.large(entry):
                more_small, more_outside, more_large = small, outside + self.rounded(entry.length), large + 1
            else:
                more_small, more_outside, more_large = small + (entry.length + 7 & ~7), outside, large
            head = self.rounded(layout.HEADER + (n + 1) * layout.RECORD + more_small)
            total = head + more_outside
            if total > room or head > self.room or (n and (total > layout.SHARE or more_large > layout.MANY)):
                break
            n, small, outside, large = n + 1, more_small, more_outside, more_large
        return n

    def fill(self, entries, n):
        """Lay out the first `n` entries, which `choose` has found to fit."""
        small = 0
        for i in range(n):
            entry = entries[i]
            if not self.large(entry):
                small += entry.length + 7 & ~7
        at = self.head + layout.HEADER
        place = layout.HEADER + n * layout.RECORD
        self.count = n
        self.head_size = self.rounded(place + small)
        far = self.head_size
        tails = self.tails
        self.pieces = 0
        self.piece(self.head, self.head_size)
        for i in range(n):
            entry = entries[i]
            if self.large(entry):
                entry.place = far
                entry.crc = checksum.crc32c(entry.address, entry.length, 0)
                whole = entry.length & ~(self.block - 1)
                self.piece(entry.address, whole)
                rest = entry.length - whole
                if rest:
                    raw.copy(tails, entry.address + whole, rest)
                    raw.copy(tails + rest, self.zeros, self.block - rest)
                    self.piece(tails, self.block)
                    tails += self.block
                far += self.rounded(entry.length)
            else:
                entry.place = place
                if entry.parts is None:
                    raw.copy(self.head + place, entry.address, entry.length)
                else:
                    to = self.head + place
                    for address, length in entry.parts:
                        raw.copy(to, address, length)
                        to += length
                entry.crc = checksum.crc32c(self.head + place, entry.length, 0)
                place += entry.length + 7 & ~7
            record(at, entry.kind, entry.number, entry.offset, entry.length, entry.crc, entry.place)
            at += layout.RECORD
        raw.copy(self.head + place, self.zeros, self.head_size - place)
        self.blocks = far // self.block

    def piece(self, address, size):
        raw.store(self.vector + self.pieces * 16, address)
        raw.store(self.vector + self.pieces * 16 + 8, size)
        self.pieces += 1

    def seal(self, sequence, previous, following, segment, offset):
        """Write the header: where the group will be, and what it comes after."""
        seal(self.head, self.count, self.blocks, self.volume, sequence, previous, following, segment, offset)


def record(at, kind, number, offset, length, crc, place):
    """Write a record."""
    raw.store32(at + layout.R_KIND, kind)
    raw.store32(at + layout.R_LOG, number)
    raw.store(at + layout.R_OFFSET, offset)
    raw.store32(at + layout.R_LENGTH, length)
    raw.store32(at + layout.R_CRC, crc)
    raw.store32(at + layout.R_PLACE, place)
    raw.store32(at + layout.R_ZERO, 0)


def seal(at, count, blocks, volume, sequence, previous, following, segment, offset):
    """Write the header of a group at `at`, whose records are there."""
    size = layout.HEADER + count * layout.RECORD
    raw.store32(at, layout.GROUP_MAGIC)
    raw.store(at + layout.G_SEQUENCE, sequence)
    raw.store(at + layout.G_PREVIOUS, previous)
    raw.store32(at + layout.G_NEXT, following)
    raw.store32(at + layout.G_BLOCKS, blocks)
    raw.store32(at + layout.G_HEAD, size)
    raw.store32(at + layout.G_COUNT, count)
    raw.store(at + layout.G_VOLUME, volume)
    raw.store32(at + layout.G_SEGMENT, segment)
    raw.store32(at + layout.G_OFFSET, offset)
    raw.store(at + 56, 0)
    raw.store32(at + layout.G_CRC, checksum.crc32c(at + 8, size - 8, volume & SEED))
