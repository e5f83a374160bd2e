"""Segments: which is next, which are free, and how those with few living bytes are emptied."""

from libos import raw
from libos.log import layout
from libos.log.group import Entry

COMPILED = __file__.endswith(".so")
RESERVE = 2  # free segments that data may not begin: for what makes room
PATIENCE = 8  # segments that are emptied for data that waits, before there is room for it


class Space:
    """`free`: segments that may be written; `marked`: those that a checkpoint on its way sets free; `victim`: the one
    that is being emptied, `loaded`: whether it has been read, `left`: how many entries of it are not yet moved.
    """

    def __init__(self, volume, free):
        self.volume = volume
        self.free = free
        self.marked = []
        self.victim = -1
        self.loaded = self.readable = False
        self.left = 0
        self.buffer = 0
        self.stuck = set()  # segments that can't be read
        self.fruitless = 0  # segments emptied since data had room

    def scarce(self):
        return len(self.free) <= max(RESERVE, len(self.volume.catalog.used) // 8)

    def advance(self, urgent):
        """Go on in the next segment. False when there is none for that."""
        if len(self.free) < (1 if urgent else RESERVE + 1):
            return False
        volume = self.volume
        volume.segment, volume.offset, volume.following = volume.following, 0, self.free.popleft()
        return True

    def dead(self):
        """Segments without living bytes that could be free."""
        volume = self.volume
        busy = {volume.segment, volume.following, self.victim, *self.free, *volume.catalog.bad}
        return [segment for segment, used in enumerate(volume.catalog.used) if not used and segment not in busy]

    def mark(self):
        """A checkpoint is made now: it needs none of these."""
        self.marked = self.dead()

    def unmark(self):
        self.marked = []

    def release(self):
        """The superblock names that checkpoint."""
        self.free.extend(self.marked)
        self.marked = []
        if self.scarce():
            self.collect(2)

    def collect(self, worth):
        """Have room made, by a segment of which at least one part in `worth` is dead. False when there is none, and no
        room on its way.
        """
        volume = self.volume
        if self.victim >= 0 or self.marked or volume.super_flying:
            return True
        if self.dead():
            volume.checkpoint_due = True
            return True
        used = volume.catalog.used
        busy = {volume.segment, volume.following, *self.free, *volume.catalog.bad, *self.stuck}
        some = [segment for segment in range(len(used)) if segment not in busy]
        victim = min(some, key=used.__getitem__, default=-1)
        enough = victim >= 0 and (volume.size - used[victim]) * worth >= volume.size
        if not (enough and self.free) or self.fruitless >= PATIENCE:
            return False
        self.fruitless += 1
        self.buffer = volume.heap.alloc(volume.size)
        if not self.buffer:
            return False
        self.victim = victim
        volume.readings.segment(victim, self.buffer, self.read)
        return True

    def read(self, there):
        """The victim has been read, or not."""
        self.loaded, self.readable = True, there

    def move(self):
        """Append once more what lives in the victim. No record that could change that is on its way or waits."""
        volume, victim, there = self.volume, self.victim, self.readable
        self.loaded = False
        entries = []
        for log in volume.catalog.logs.values() if there else ():
            for extent in log.extents:
                if extent.segment == victim:
                    there = there and self.add(entries, log, extent)
        if not there:
            self.stuck.add(victim)
            entries = []
        self.left = len(entries)
        volume.urgent.extend(entries)
        if not entries:
            self.finished()

    def add(self, entries, log, extent):
        """An entry for each record of an extent. False when one is damaged."""
        starts, places = extent.starts, extent.places
        for i, offset in enumerate(starts):
            end = extent.end_of(i)
            address = self.buffer + (places[i] >> 32)
            if not self.volume.readings.right(address, end - offset, places[i]):
                return False
            entries.append(Entry(layout.MOVED, log.number, offset, address, min(end, extent.end) - offset, self))
        return True

    def moved(self):
        """One entry is in its new place."""
        self.left -= 1
        if self.left <= 0:
            self.finished()

    def finished(self):
        self.volume.heap.free(self.buffer)
        self.victim = -1
        self.volume.checkpoint_due = True


def blank(address):
    """Whether the 8 KiB before the segments are all zeros."""
    return not any(raw.load(address + i) for i in range(0, layout.SEGMENTS, 8))
