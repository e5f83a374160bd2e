"""What is on a device, in memory: logs, which of their bytes are in which segment, how many of a segment live.

It changes by the records of durable groups, one after the other: the same way while they are written and when they are
read again after a restart.
"""

from array import array
from bisect import bisect_right

from libos.log import layout, scan
from libos.log.names import Names

COMPILED = __file__.endswith(".so")


class Extent:
    """Bytes `first` to `end` of a log, side by side in one segment; a hole where that is NONE. `starts`: offsets of its
    records, `places`: for each its place in the segment << 32 | checksum; both None until the segment has been read.
    `rest`: bytes of the last record that the log has been cut before.
    """

    def __init__(self, segment, first, end, starts=None, places=None):
        self.segment = segment
        self.first = first
        self.end = end
        self.starts = starts
        self.places = places
        self.rest = 0

    def part(self, first, end):
        """The extent of some of these bytes."""
        if self.starts is None:
            return Extent(self.segment, first, end)
        low = max(bisect_right(self.starts, first) - 1, 0)
        high = bisect_right(self.starts, end - 1)
        part = Extent(self.segment, first, end, self.starts[low:high], self.places[low:high])
        part.rest = self.end_of(high - 1) - end
        return part

    def record_of(self, offset):
        """Index of the record that holds a byte."""
        return bisect_right(self.starts, offset) - 1

    def end_of(self, n):
        """Offset behind the record at index `n`, as it was written."""
        return self.starts[n + 1] if n + 1 < len(self.starts) else self.end + self.rest


class Log:
    """A log: bytes `head` to `end` are there. `users`: how many have it open, for one without a name. `text`: what the
    directory has of it, None when that has changed.
    """

    def __init__(self, number, head=0, end=0):
        self.number = number
        self.head = head
        self.end = end
        self.given = end  # offsets up to here belong to a group on its way
        self.users = 0
        self.extents = []
        self.text = None

    def extent_of(self, offset):
        """Index of the extent that holds a byte; -1 when none does."""
        i = bisect_right(self.extents, offset, key=first_of) - 1
        return i if i >= 0 and offset < self.extents[i].end else -1

    def places_of(self, offset):
        """Where the record of a byte is, if that is known."""
        i = self.extent_of(offset)
        extent = self.extents[i] if i >= 0 else None
        if extent is None or extent.starts is None:
            return ()
        return (extent.places[extent.record_of(offset)],)


def first_of(extent):
    return extent.first


class Catalog:
    """All logs, by number and by name. `used`: living bytes of each segment; `ends`: where its last durable group ends,
    as far as that is known; `bad`: segments that failed to be written.
    """

    def __init__(self, segments):
        self.logs = {}
        self.names = Names()
        self.next_number = 1
        self.used = [0] * segments
        self.ends = {}
        self.bad = set()

    def log(self, number):
        """The log of a number; a new one, without a name, if it was not there."""
        if number not in self.logs:
            self.logs[number] = Log(number)
            self.next_number = max(self.next_number, number + 1)
        return self.logs[number]

    def drop(self, log):
        """Forget a log."""
        self.names.release(log)
        for extent in log.extents:
            self.count(extent, extent.first - extent.end)
        log.extents.clear()
        log.head = log.end
        del self.logs[log.number]

    def nameless(self):
        """Logs that have no name: nobody can open them any more."""
        return [log for log in self.logs.values() if not self.names.of(log)]

    def count(self, extent, more):
        """There are `more` living bytes in the segment of an extent."""
        if extent.segment != layout.NONE:
            self.used[extent.segment] += more

    def load(self, next_number, bad, logs, ends):
        """Begin with a checkpoint's directory. Raises ValueError when it can't be right."""
        self.next_number, self.bad, self.ends = next_number, bad, ends
        for number, name, head, end, extents in logs:
            log = self.logs[number] = Log(number, head, end)
            if name:
                self.names.bind(log, name)
            at = head
            for segment, first, last in extents:
                if (segment >= len(self.used) and segment != layout.NONE) or first != at or last <= first:
                    raise ValueError(f"the directory is damaged: log {name!r}")
                extent = Extent(segment, first, last)
                log.extents.append(extent)
                self.count(extent, last - first)
                at = last
            if at != end:
                raise ValueError(f"the directory is damaged: log {name!r} ends at {end}, not {at}")

    def texts(self):
        """What the directory has of each log: made again for those that have changed."""
        for log in self.logs.values():
            if log.text is None:
                extents = [(extent.segment, extent.first, extent.end) for extent in log.extents]
                log.text = scan.packed_log(log.number, self.names.of(log), log.head, log.end, extents)
            yield log.text

    def ends_listed(self):
        """(segment, where it ends) of those with living bytes, what scan.packed takes."""
        return [(segment, end) for segment, end in self.ends.items() if self.used[segment]]

    def apply(self, kind, number, offset, length, crc, place, segment, name):
        """One record of a durable group; `place` is that in the segment, `name` the log's from now on. Raises
        ValueError when it contradicts what came before.
        """
        if kind == layout.NAME:
            if name in self.names:
                self.names[name].text = None
            self.names.bind(self.log(number), name)
            self.logs[number].text = None
            return
        log = self.logs.get(number)
        if log is None:
            if kind == layout.CHECKPOINT:
                return
            raise ValueError(f"a record of log {number}, which is not there")
        log.text = None
        if kind == layout.TRUNCATE:
            self.truncate(log, offset)
        elif kind == layout.RESET:
            self.truncate(log, log.end)
            log.head = log.end = 0
        elif kind == layout.UNLINK:
            self.names.release(log)
        elif kind == layout.END:
            self.resize(log, offset)
        elif offset == log.end and kind == layout.DATA:
            self.append(log, offset, length, segment, place << 32 | crc)
        elif offset + length <= log.end:
            self.move(log, offset, length, segment, place << 32 | crc)
        else:
            raise ValueError(f"log {number} ends at {log.end}, and a record of it begins at {offset}")

    def append(self, log, offset, length, segment, where):
        log.text = None
        extents = log.extents
        if extents:
            last = extents[len(extents) - 1]
            if last.segment == segment and last.starts is not None and last.rest == 0:
                last.starts.append(offset)
                last.places.append(where)
                last.end = log.end = offset + length
                self.used[segment] += length
                return
        extents.append(Extent(segment, offset, offset + length, array("Q", (offset,)), array("Q", (where,))))
        log.end = offset + length
        self.used[segment] += length

    def grown(self, log, length, segment):
        """So many bytes more of a log are in a segment: where its records are is read when somebody asks."""
        log.text = None
        extents = log.extents
        last = extents[len(extents) - 1] if extents else None
        if last is not None and last.segment == segment:
            last.starts = last.places = None
            last.end += length
        else:
            extents.append(Extent(segment, log.end, log.end + length))
        log.end = log.given = log.end + length
        self.used[segment] += length

    def move(self, log, offset, length, segment, where):
        """A record of the log lies in another place now; not one that is forgotten already."""
        first, end = max(offset, log.head), offset + length
        if first >= end:
            return
        at = self.cut(log, first, end)
        extents = log.extents
        before = extents[at - 1] if at else None
        if (
            before is not None
            and before.segment == segment
            and before.starts is not None
            and before.end == first
            and before.rest == 0
        ):
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
            self.count(extent, max(first, extent.first) - min(end, extent.end))
            if extent.first < first:
                kept.append(extent.part(extent.first, first))
                at = low + 1
            if extent.end > end:
                kept.append(extent.part(end, extent.end))
        log.extents[low:high] = kept
        return at

    def truncate(self, log, head):
        """Forget what is before `head`. The log may have been cut meanwhile: at most all of it."""
        log.text = None
        head = min(head, log.end)
        if head <= log.head:
            return
        gone = 0
        for extent in log.extents:
            if extent.end > head:
                break
            self.count(extent, extent.first - extent.end)
            gone += 1
        del log.extents[:gone]
        log.head = head
        if log.extents and log.extents[0].first < head:
            self.count(log.extents[0], log.extents[0].first - head)
            log.extents[0].first = head

    def resize(self, log, end):
        """The log ends at `end` now: what is behind is gone, what was not there is a hole."""
        if end > log.end:
            log.extents.append(Extent(layout.NONE, log.end, end))
        elif end < log.end:
            log.head = min(log.head, end)
            if log.extents and log.extents[0].first < log.end:
                self.cut(log, max(end, log.extents[0].first), log.end)
        log.end = end

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
                there = missing[number][1]
                if kind == layout.RESET:
                    there.clear()
                elif kind == layout.END:
                    for start in [start for start in there if there[start][0] > offset]:
                        if start >= offset:
                            del there[start]
                        else:
                            there[start] = offset, *there[start][1:]
                elif kind in (layout.DATA, layout.MOVED):
                    there[offset] = offset + length, offset + length, (group.offset + place) << 32 | crc
        return all([indexed(extent, there) for extents, there in missing.values() for extent in extents])


def indexed(extent, there):
    """Give an extent its records, out of {offset: (where it ends, where it ended when it was written, place and
    checksum)}. False when one is missing.
    """
    starts, places = array("Q"), array("Q")
    at = whole = extent.first
    for offset in sorted(there):
        end, written, where = there[offset]
        if offset <= at < end and at < extent.end:
            starts.append(offset)
            places.append(where)
            at, whole = end, written
    if at < extent.end:
        return False
    extent.starts, extent.places, extent.rest = starts, places, whole - extent.end
    return True
