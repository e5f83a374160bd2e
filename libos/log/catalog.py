"""What is on a device, in memory: logs, which of their bytes are in which segment, how many of a segment live.

It changes by the records of durable groups, one after the other: the same way while they are written and when they are
read again after a restart.
"""

from array import array
from bisect import bisect_right

from libos.log import layout

COMPILED = __file__.endswith(".so")


class Extent:
    """Bytes `first` to `end` of a log, side by side in one segment. `starts`: offsets of its records, `places`: for
    each its place in the segment << 32 | checksum; both None until the segment has been read.
    """

    def __init__(self, segment, first, end, starts=None, places=None):
        self.segment = segment
        self.first = first
        self.end = end
        self.starts = starts
        self.places = places

    def part(self, first, end):
        """The extent of some of these bytes, which begin and end with a record."""
        if self.starts is None:
            return Extent(self.segment, first, end)
        low = max(bisect_right(self.starts, first) - 1, 0)
        high = bisect_right(self.starts, end - 1)
        return Extent(self.segment, first, end, self.starts[low:high], self.places[low:high])


class Log:
    """A log: bytes `head` to `end` are there."""

    def __init__(self, number, name, head=0, end=0):
        self.number = number
        self.name = name
        self.head = head
        self.end = end
        self.given = end  # offsets up to here belong to a group on its way
        self.extents = []

    def extent_of(self, offset):
        """Index of the extent that holds a byte; -1 when none does."""
        i = bisect_right(self.extents, offset, key=first_of) - 1
        return i if i >= 0 and offset < self.extents[i].end else -1


def first_of(extent):
    return extent.first


class Catalog:
    """All logs. `used`: living bytes of each segment; `bad`: segments that failed to be written."""

    def __init__(self, segments):
        self.logs = {}
        self.names = {}
        self.next_number = 1
        self.used = [0] * segments
        self.bad = set()

    def name(self, number, name):
        """There is a new log."""
        if number not in self.logs:
            self.logs[number] = self.names[name] = Log(number, name)
            self.next_number = max(self.next_number, number + 1)
        return self.logs[number]

    def load(self, next_number, bad, logs):
        """Begin with a checkpoint's directory. Raises ValueError when it can't be right."""
        self.next_number, self.bad = next_number, bad
        for number, name, head, end, extents in logs:
            log = self.logs[number] = self.names[name] = Log(number, name, head, end)
            at = head
            for segment, first, last in extents:
                if segment >= len(self.used) or first != at or last <= first:
                    raise ValueError(f"the directory is damaged: log {name!r}")
                log.extents.append(Extent(segment, first, last))
                self.used[segment] += last - first
                at = last
            if at != end:
                raise ValueError(f"the directory is damaged: log {name!r} ends at {end}, not {at}")

    def listed(self):
        """What scan.packed takes."""
        for log in self.logs.values():
            extents = [(extent.segment, extent.first, extent.end) for extent in log.extents]
            yield log.number, log.name, log.head, log.end, extents

    def apply(self, kind, number, offset, length, crc, place, segment, name):
        """One record of a durable group; `place` is that in the segment, `name` a new log's. Raises ValueError
        when it contradicts what came before.
        """
        if kind == layout.NAME:
            self.name(number, name)
            return
        log = self.logs.get(number)
        if log is None:
            if kind == layout.CHECKPOINT:
                return
            raise ValueError(f"a record of log {number}, which is not there")
        if kind == layout.TRUNCATE:
            self.truncate(log, offset)
        elif kind == layout.RESET:
            self.truncate(log, log.end)
            log.head = log.end = log.given = 0
        elif offset == log.end and kind == layout.DATA:
            self.append(log, offset, length, segment, place << 32 | crc)
        elif offset + length <= log.end:
            self.move(log, offset, length, segment, place << 32 | crc)
        else:
            raise ValueError(f"log {log.name!r} ends at {log.end}, and a record of it begins at {offset}")

    def append(self, log, offset, length, segment, where):
        extents = log.extents
        if extents:
            last = extents[len(extents) - 1]
            if last.segment == segment and last.starts is not None:
                last.starts.append(offset)
                last.places.append(where)
                last.end = log.end = offset + length
                self.used[segment] += length
                return
        extents.append(Extent(segment, offset, offset + length, array("Q", (offset,)), array("Q", (where,))))
        log.end = offset + length
        self.used[segment] += length

    def move(self, log, offset, length, segment, where):
        """A record of the log lies in another place now; not one that is forgotten already."""
        first, end = max(offset, log.head), offset + length
        if first >= end:
            return
        at = self.cut(log, first, end)
        extents = log.extents
        before = extents[at - 1] if at else None
        if before is not None and before.segment == segment and before.starts is not None and before.end == first:
            before.starts.append(offset)
            before.places.append(where)
            before.end = end
        else:
            extents.insert(at, Extent(segment, first, end, array("Q", (offset,)), array("Q", (where,))))
        self.used[segment] += end - first

    def cut(self, log, first, end):
        """Take bytes out of the extents that hold them. Returns the index where another extent for them goes."""
        low = max(log.extent_of(first), 0)
        high, kept, at = low, [], low
        for extent in log.extents[low:]:
            if extent.first >= end:
                break
            high += 1
            taken = min(end, extent.end) - max(first, extent.first)
            self.used[extent.segment] -= taken
            if extent.first < first:
                kept.append(extent.part(extent.first, first))
                at = low + 1
            if extent.end > end:
                kept.append(extent.part(end, extent.end))
        log.extents[low:high] = kept
        return at

    def truncate(self, log, head):
        """Forget what is before `head`, which is at most the end."""
        if head <= log.head:
            return
        gone = 0
        for extent in log.extents:
            if extent.end > head:
                break
            self.used[extent.segment] -= extent.end - extent.first
            gone += 1
        del log.extents[:gone]
        log.head = head
        if log.extents and log.extents[0].first < head:
            self.used[log.extents[0].segment] -= head - log.extents[0].first
            log.extents[0].first = head

    def index(self, segment, groups):
        """Say where the records of a segment are, that has been read: `groups`, in their order. False: not all of those
        that should be there are.
        """
        missing = {}
        for log in self.logs.values():
            extents = [extent for extent in log.extents if extent.segment == segment and extent.starts is None]
            if extents:
                missing[log.number] = extents, {}
        for group in groups:
            for kind, number, offset, length, crc, place in group.records:
                if number not in missing:
                    continue
                if kind == layout.RESET:
                    missing[number][1].clear()
                elif kind in (layout.DATA, layout.MOVED):
                    missing[number][1][offset] = length, (group.offset + place) << 32 | crc
        return all([indexed(extent, there) for extents, there in missing.values() for extent in extents])


def indexed(extent, there):
    """Give an extent its records, out of {offset: (length, place and checksum)}. False when one is missing."""
    starts, places = array("Q"), array("Q")
    at = extent.first
    for offset in sorted(there):
        length, where = there[offset]
        if offset <= at < offset + length and at < extent.end:
            starts.append(offset)
            places.append(where)
            at = offset + length
    if at != extent.end:
        return False
    extent.starts, extent.places = starts, places
    return True
