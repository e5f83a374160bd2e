"""Reading: of an element for a pop, and of whole segments, of which it is not yet known where their records are."""

from bisect import bisect_right
from collections import deque

from libos.log import checksum, layout, scan

COMPILED = __file__.endswith(".so")
FIRST_TAG = 16


class Reading:
    """What is left, from `offset` on, of the record that holds this byte of a log. When it is `done`: `length` bytes at
    `address`, in the heap object `memory`, which is the taker's; or `failure`, a name of errors.Kind.
    """

    def __init__(self, log, offset, keep):
        self.log = log
        self.offset = offset
        self.keep = keep
        self.memory = self.address = self.length = 0
        self.done = False
        self.failure = None


def places_of(log, offset):
    """Where the record of a byte is, if that is known."""
    i = log.extent_of(offset)
    extent = log.extents[i] if i >= 0 else None
    if extent is None or extent.starts is None:
        return ()
    return (extent.places[bisect_right(extent.starts, offset) - 1],)


class Readings:
    """All that are on their way. `out`: by tag, what is to be called with the device's result."""

    def __init__(self, volume):
        self.volume = volume
        self.out = {}
        self.tag = FIRST_TAG - 1
        self.waiting = deque()  # for room on the device
        self.loads = {}  # by segment: the readings that wait for its index

    def begin(self, log, offset, keep=None):
        """A reading of the element at `offset`, which is there."""
        reading = Reading(log, offset, keep)
        self.locate(reading)
        return reading

    def locate(self, reading):
        log = reading.log
        i = log.extent_of(reading.offset)
        if i < 0:  # truncated meanwhile
            self.over(reading, "INVALID")
            return
        extent = log.extents[i]
        if extent.starts is None:
            self.load(extent.segment, reading)
            return
        n = bisect_right(extent.starts, reading.offset) - 1
        start, where = extent.starts[n], extent.places[n]
        end = extent.starts[n + 1] if n + 1 < len(extent.starts) else extent.end
        place = where >> 32
        block = self.volume.block
        low = place & ~(block - 1)
        high = (place + end - start + block - 1) & ~(block - 1)
        reading.memory = self.volume.heap.alloc(max(high - low, block))
        if not reading.memory:
            self.over(reading, "NO_MEMORY")
            return
        reading.address = reading.memory + place - low
        reading.length = end - start

        def read(result):
            right = result == high - low and self.right(reading.address, reading.length, where)
            if not right and where not in places_of(log, reading.offset):  # it has been moved
                self.volume.heap.free(reading.memory)
                self.locate(reading)
                return
            skip = reading.offset - start
            reading.address += skip
            reading.length -= skip
            self.over(reading, None if right else "DEVICE")

        self.ask(self.place_of(extent.segment) + low, reading.memory, high - low, read)

    def place_of(self, segment):
        """Byte of the device where a segment begins."""
        return layout.SEGMENTS + segment * self.volume.size

    def right(self, address, length, where):
        """Whether the checksum of a record's payload is the one that is known."""
        return checksum.crc32c(address, length, 0) == where & 0xFFFFFFFF

    def over(self, reading, failure):
        if failure and reading.memory:
            self.volume.heap.free(reading.memory)
            reading.memory = 0
        reading.failure = failure
        reading.done = True
        self.volume.events.append(reading)

    def load(self, segment, reading):
        """Read a segment's index; then go on with those that wait for it."""
        if segment in self.loads:
            self.loads[segment].append(reading)
            return
        memory = self.volume.heap.alloc(self.volume.size)
        if not memory:
            self.over(reading, "NO_MEMORY")
            return
        self.loads[segment] = [reading]

        def loaded(there):
            self.volume.heap.free(memory)
            for one in self.loads.pop(segment):
                if there:
                    self.locate(one)
                else:
                    self.over(one, "DEVICE")

        self.segment(segment, memory, loaded)

    def segment(self, segment, memory, then):
        """Read a whole segment to `memory` and index it; `then(whether that went well)`."""
        volume = self.volume

        def read(result):
            there = result == volume.size and volume.catalog.index(segment, self.groups(segment, memory))
            then(there)

        self.ask(self.place_of(segment), memory, volume.size, read)

    def groups(self, segment, memory):
        """The groups of a segment that has been read."""
        offset, sequence = 0, 0
        while True:
            room = self.volume.size - offset
            volume = self.volume.superblock.volume
            found = scan.group_at(memory + offset, room, volume, self.volume.block, segment, offset, False)
            if found is None or found.sequence <= sequence:  # the second: of an earlier life of the segment
                return
            yield found
            offset, sequence = offset + found.size, found.sequence

    def ask(self, offset, address, length, then):
        self.waiting.append((offset, address, length, then))
        self.go_on()

    def go_on(self):
        """Queue what waits, as far as the device has room beside a group, a superblock and their flushes."""
        while self.waiting and len(self.out) < self.volume.device.depth - 4:
            offset, address, length, then = self.waiting.popleft()
            self.tag += 1
            self.out[self.tag] = then
            if not self.volume.device.read(self.tag, offset, address, length):
                del self.out[self.tag]
                self.waiting.appendleft((offset, address, length, then))
                return

    def completed(self, tag, result):
        self.out.pop(tag)(result)
        self.go_on()
