"""Groups of data alone, each straight behind the one before: most of what a volume does for whoever only appends.

It needs neither the GIL nor the machine (volume.py), which is idle meanwhile: `begin` takes over from it, `end` tells
it what has been written. While one group is on its way the next is filled. Who calls has to see to it that one thread
at a time is in here, and writes what `sealed` says.
"""

from libos import raw
from libos.log import checksum, group, layout

COMPILED = __file__.endswith(".so")
RESERVE = 2  # as space.py
BOOKED = 24  # bytes


class Straight:
    """For `many` logs, each known by the number of its *line*. `number`: of the group that is being filled, from 1 on;
    `done`: of the last that is over; `count`: records of the one that is filled. `booked`: where each record is will be
    known to the machine, as to who reads what he has just written; else it is looked for when somebody asks.
    """

    def __init__(self, volume, many, booked=False):
        heap = volume.heap
        self.volume = volume
        self.bound = 0  # lines that were ever bound to a log
        self.lines = heap.alloc(many * layout.LINE)
        self.rooms = heap.alloc(2 * layout.STRAIGHT_ROOM)
        self.marks = heap.alloc(2 * layout.STRAIGHT_MOST * 8)  # which line each record is of
        self.vector = heap.alloc(64)
        # of each record its line, length, and place in the segment << 32 | checksum: a segment has room for fewer
        self.book = heap.alloc(layout.SEGMENT) if booked else 0
        self.written = self.noted = 0  # records in the book, and how many of them are durable
        if not (self.lines and self.rooms and self.marks and self.vector and (self.book or not booked)):
            raise MemoryError("no heap for groups")
        for at in range(self.lines, self.lines + many * layout.LINE, 8):
            raw.store(at, 0)
        self.block = volume.block
        self.identity = volume.group.volume
        self.filling = self.count = self.reserved = self.used = 0
        self.flying_size = self.flying_count = 0
        self.number, self.done = 1, 0
        self.next = 0  # where the group that is being filled goes in its segment
        self.groups = self.entries = 0
        self.open = False

    # --- with the machine ---

    def begin(self):
        """Take over. Not if the machine still has something to do, or would take no data."""
        volume = self.volume
        self.next = volume.offset
        self.open = volume.resting and not volume.fresh and len(volume.space.free) >= RESERVE
        for i in range(self.bound):
            log = volume.catalog.logs.get(raw.load(self.line(i) + layout.L_LOG))
            if log is not None:
                raw.store(self.line(i) + layout.L_GIVEN, log.end)

    def end(self):
        """Nothing is on its way, or filled: what has been written is the machine's from now on."""
        volume = self.volume
        self.open = False
        if self.groups:
            volume.catalog.ends[volume.segment] = volume.offset
        for i in range(self.bound):
            since = raw.load(self.line(i) + layout.L_SINCE)
            if since:
                log = volume.catalog.logs[raw.load(self.line(i) + layout.L_LOG)]
                if not self.book:
                    volume.catalog.grown(log, since, volume.segment)
                volume.counters["bytes"] += since
                raw.store(self.line(i) + layout.L_SINCE, 0)
        volume.counters["groups"] += self.groups
        volume.counters["entries"] += self.entries
        self.groups = self.entries = 0
        self.read_book()

    def read_book(self):
        """What is durable of it, to the machine; of the rest nothing is known."""
        at, logs = self.book, self.volume.catalog.logs
        for _ in range(self.written):
            log = logs[raw.load(self.line(raw.load(at)) + layout.L_LOG)]
            length, where = raw.load(at + 8), raw.load(at + 16)
            self.volume.catalog.append(log, log.end, length, self.volume.segment, where)
            log.given = log.end
            at += BOOKED
        self.written = self.noted = 0

    def bind(self, i, log):
        """A line is that of a log from now on."""
        self.bound = max(self.bound, i + 1)
        raw.store(self.line(i) + layout.L_LOG, log.number)
        raw.store(self.line(i) + layout.L_GROUP, 0)

    def close(self):
        for address in (self.lines, self.rooms, self.marks, self.vector, self.book):
            if address:
                self.volume.heap.free(address)

    # --- without the GIL ---

    def line(self, i):
        return self.lines + i * layout.LINE

    def room(self):
        """Address of the group that is being filled."""
        return self.rooms + self.filling * layout.STRAIGHT_ROOM

    def rounded(self, size):
        return (size + self.block - 1) & ~(self.block - 1)

    def place(self, length, expected):
        """Where a payload goes, from the beginning of the group that is being filled, into which as many as `expected`
        may come. 0: that group has to go out first; -1: the machine has to do it.
        """
        if not self.open:
            return -1
        if self.count == 0:
            self.reserved = min(max(expected, 1), layout.STRAIGHT_MOST)
            self.used = layout.HEADER + self.reserved * layout.RECORD
        elif self.count == self.reserved:
            return 0
        size = self.rounded(self.used + length)
        if size > layout.STRAIGHT_ROOM or self.next + size > self.volume.size:
            return 0 if self.count else -1
        return self.used

    def put(self, i, place, length):
        """The payload is there: a record for it."""
        room, line = self.room(), self.line(i)
        at = room + layout.HEADER + self.count * layout.RECORD
        crc = checksum.crc32c(room + place, length, 0)
        number, offset = raw.load(line + layout.L_LOG), raw.load(line + layout.L_GIVEN)
        group.record(at, layout.DATA, number, offset, length, crc, place)
        raw.store(self.marks + (self.filling * layout.STRAIGHT_MOST + self.count) * 8, i)
        raw.store(line + layout.L_GIVEN, offset + length)
        raw.store(line + layout.L_SINCE, raw.load(line + layout.L_SINCE) + length)
        raw.store(line + layout.L_GROUP, self.number)
        if self.book:
            self.note(i, length, (self.next + place) << 32 | crc)
        self.used = place + (length + 7 & ~7)
        self.count += 1

    def note(self, i, length, where):
        at = self.book + self.noted * BOOKED
        raw.store(at, i)
        raw.store(at + 8, length)
        raw.store(at + 16, where)
        self.noted += 1

    def sealed(self):
        """The group that was being filled goes out: to which byte of the device; `vector` says what."""
        at, size = self.room(), self.rounded(self.used)
        rest = at + self.used
        while rest < at + size:
            raw.store(rest, 0)
            rest += 8
        self.volume.sequence += 1
        sequence, previous = self.volume.sequence, self.volume.previous
        following, segment = self.volume.following, self.volume.segment
        blocks = size // self.block
        group.seal(at, self.count, blocks, self.identity, sequence, previous, following, segment, self.next)
        raw.store(self.vector, at)
        raw.store(self.vector + 8, size)
        place = layout.SEGMENTS + segment * self.volume.size + self.next
        self.next += size
        self.flying_size, self.flying_count = size, self.count
        self.turn()
        return place

    def over(self, result):
        """What was sealed has been written, `result` bytes of it, or a negative number."""
        if result == self.flying_size:
            self.volume.previous = self.volume.sequence
            self.volume.offset += self.flying_size
            self.groups += 1
            self.entries += self.flying_count
            if self.book:
                self.written += self.flying_count
        else:
            self.open = False
            self.fail(self.filling ^ 1, self.flying_count)
        raw.fence()
        self.done += 1

    def refuse(self):
        """The group that was being filled does not go out: something before it has failed."""
        self.open = False
        self.fail(self.filling, self.count)
        self.turn()
        raw.fence()
        self.done += 1

    def turn(self):
        self.filling ^= 1
        self.number += 1
        self.count = 0

    def fail(self, room, count):
        while count:
            count -= 1
            at = self.rooms + room * layout.STRAIGHT_ROOM + layout.HEADER + count * layout.RECORD
            length = raw.load32(at + layout.R_LENGTH)
            line = self.line(raw.load(self.marks + (room * layout.STRAIGHT_MOST + count) * 8))
            raw.store(line + layout.L_DOUBT, 1)
            raw.store(line + layout.L_GIVEN, raw.load(line + layout.L_GIVEN) - length)
            raw.store(line + layout.L_SINCE, raw.load(line + layout.L_SINCE) - length)
