"""Reading by place: any bytes of a log, across its elements and holes, into one heap object.

Neighbouring elements are read together, with what lies between them on the device; each is checked.
"""

from libos import raw
from libos.log import checksum, layout

COMPILED = __file__.endswith(".so")
RUN = 262144  # bytes of the device that one request reads, unless a single element needs more
GAP = 32768  # bytes between two elements that are read for nothing rather than begin another request


class Span:
    """`length` bytes of a log from `offset` on: fewer where the log ends. When it is `done`: they are at `address`, the
    beginning of the heap object `memory`, which is the taker's; or `failure`, a name of errors.Kind.
    """

    def __init__(self, volume, log, offset, length, keep):
        self.volume = volume
        self.log = log
        self.offset = offset
        self.length = max(min(length, log.end - offset), 0)
        self.keep = keep
        self.memory = self.address = volume.heap.alloc(max(self.length, 1))
        self.left = 1  # what is not there yet, and this call
        self.done = False
        self.failure = None
        if self.memory:
            self.fetch(offset, offset + self.length)
        else:
            self.failure = "NO_MEMORY"
        self.over()

    def over(self):
        """One part is there."""
        self.left -= 1
        if self.left:
            return
        if self.failure and self.memory:
            self.volume.heap.free(self.memory)
            self.memory = 0
        self.done = True
        self.volume.events.append(self)

    def fetch(self, at, end):
        """Have these bytes of the log brought."""
        log = self.log
        while at < end:
            i = log.extent_of(at)
            if i < 0:
                self.lost(at)
                return
            extent = log.extents[i]
            stop = min(end, extent.end)
            if extent.segment == layout.NONE:
                self.blank(at, stop)
            elif extent.starts is None:
                self.load(extent.segment, at, stop)
            else:
                stop = self.ask(extent, at, stop)
            at = stop

    def lost(self, at):
        """The log has been truncated or cut meanwhile."""
        if at < self.log.head:
            self.failure = "INVALID"
        else:
            self.length = min(self.length, at - self.offset)

    def blank(self, at, end):
        """A hole."""
        while at < end:
            size = min(end - at, 4096)
            raw.copy(self.memory + at - self.offset, self.volume.group.zeros, size)
            at += size

    def load(self, segment, at, end):
        """It is not known yet where the records of a segment are."""
        self.left += 1

        def loaded(failure):
            if failure:
                self.failure = failure
            else:
                self.fetch(at, end)
            self.over()

        self.volume.readings.load(segment, loaded)

    def ask(self, extent, at, end):
        """Request some of these bytes, which lie in one extent; returns where they end."""
        volume, records = self.volume, []
        block = volume.block
        n = extent.record_of(at)
        low = (extent.places[n] >> 32) & ~(block - 1)
        far = low
        while n < len(extent.starts):
            start, written, where = extent.starts[n], extent.end_of(n), extent.places[n]
            place = where >> 32
            behind = place + written - start
            if start >= end or (records and not (far <= place <= far + GAP and behind - low <= RUN)):
                break
            records.append((start, written, where))
            far = behind
            n += 1
        high = (far + block - 1) & ~(block - 1)
        stop = min(end, extent.starts[n] if n < len(extent.starts) else end)
        memory = volume.heap.alloc(max(high - low, block))
        if not memory:
            self.failure = "NO_MEMORY"
            return end
        self.left += 1

        def read(result):
            if result == high - low:
                self.take(memory - low, records, at, stop)
            else:
                self.failure = "DEVICE"
            volume.heap.free(memory)
            self.over()

        volume.readings.ask(volume.readings.place_of(extent.segment) + low, memory, high - low, read)
        return stop

    def take(self, base, records, at, end):
        """Records of the bytes `at` to `end` have been read: their segment would begin at the address `base`."""
        for i, (start, written, where) in enumerate(records):
            first = max(start, at)
            last = min(records[i + 1][0] if i + 1 < len(records) else end, end)
            address = base + (where >> 32)
            if checksum.crc32c(address, written - start, 0) == where & 0xFFFFFFFF:
                raw.copy(self.memory + first - self.offset, address + first - start, last - first)
            elif where in self.log.places_of(first):
                self.failure = "DEVICE"
            else:  # it has been moved
                self.fetch(first, last)
