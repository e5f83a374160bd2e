"""Reading: of an element for a pop, and of whole segments, of which it is not yet known where their records are."""

from collections import deque

from libos import raw
from libos.log import checksum, layout, scan
from libos.log.span import Span

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


class Readings:
    """All that are on their way. `out`: by tag, what is to be called with the device's result."""

    def __init__(self, volume):
        self.volume = volume
        self.out = {}
        self.tag = FIRST_TAG - 1
        self.waiting = deque()  # for room on the device
        self.loads = {}  # by segment: what is to be called when its index is known

    def begin(self, log, offset, keep=None):
        """A reading of the element at `offset`, which is there."""
        reading = Reading(log, offset, keep)
        self.locate(reading)
        return reading

    def span(self, log, offset, length, keep=None):
        """A reading of `length` bytes (at most 1 MiB) from `offset` on, wherever the elements end."""
        return Span(self.volume, log, offset, length, keep)

    def locate(self, reading):
        log = reading.log
        i = log.extent_of(reading.offset)
        if i < 0:  # truncated meanwhile
            self.over(reading, "INVALID")
            return
        extent = log.extents[i]
        if extent.segment == layout.NONE:
            self.blank(reading, extent)
            return
        if extent.starts is None:
            self.load(extent.segment, lambda no: self.over(reading, no) if no else self.locate(reading))
            return
        n = extent.record_of(reading.offset)
        start, where = extent.starts[n], extent.places[n]
        end = extent.end_of(n)
        behind = max(end - extent.end, 0)
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
            if not right and where not in log.places_of(reading.offset):  # it has been moved
                self.volume.heap.free(reading.memory)
                reading.memory = 0
                self.locate(reading)
                return
            skip = reading.offset - start
            reading.address += skip
            reading.length -= skip + behind
            self.over(reading, None if right else "DEVICE")

        self.ask(self.place_of(extent.segment) + low, reading.memory, high - low, read)

    def blank(self, reading, hole):
        """Zeros, at most 64 KiB of them at a time."""
        reading.length = min(hole.end - reading.offset, 65536)
        reading.memory = reading.address = self.volume.heap.alloc(65536)
        for at in range(0, 65536 if reading.memory else 0, 4096):
            raw.copy(reading.memory + at, self.volume.group.zeros, 4096)
        self.over(reading, None if reading.memory else "NO_MEMORY")

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

    def load(self, segment, then):
        """Read a segment's index; then `then(failure)`: None, or a name of errors.Kind."""
        if segment in self.loads:
            self.loads[segment].append(then)
            return
        memory = self.volume.heap.alloc(self.volume.size)
        if not memory:
            then("NO_MEMORY")
            return
        self.loads[segment] = [then]

        def loaded(there):
            self.volume.heap.free(memory)
            for one in self.loads.pop(segment):
                one(None if there else "DEVICE")

        self.segment(segment, memory, loaded)

    def segment(self, segment, memory, then):
        """Read a whole segment to `memory` and index it; `then(whether that went well)`."""
        volume = self.volume

        def read(result):
            there = result == volume.size and volume.catalog.index(segment, self.groups(segment, memory))
            then(there)

        self.ask(self.place_of(segment), memory, volume.size, read)

    def groups(self, segment, memory):
        """The groups of a segment that has been read; none that was torn, and may look whole by its header."""
        offset, sequence = 0, 0
        end = self.volume.catalog.ends.get(segment, self.volume.size)
        while offset < end:
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
