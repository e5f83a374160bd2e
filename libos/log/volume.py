"""The machine: logs on a block device, without a clock, a thread or a system call.

Entries go in by `append` and the calls on names; `work` forms a group of what waits and queues it on the device;
`completed(tag)` takes what the device says. What has become of entries and readings is in `events`, in order.
One group is on its way at a time.
"""

from collections import deque
from itertools import chain

from libos import raw
from libos.log import layout, scan
from libos.log.catalog import Catalog
from libos.log.group import Entry, Group
from libos.log.reading import Readings
from libos.log.space import RESERVE, Space

COMPILED = __file__.endswith(".so")
WRITE, FLUSH, SUPER, SUPER_FLUSH, FIRST_READ = 1, 2, 3, 4, 16  # tags
TRIES = 3  # segments that a group is tried in


class Volume:
    """`superblock`: what is on the device, or will be; `catalog`: what was found. `segment`, `offset`: where the next
    group goes; `following`: the segment after that; `sequence`: the last that was used, `previous`: the last that is
    durable. `free`: segments that may be written, in their order.
    """

    def __init__(self, device, heap, superblock, catalog=None, position=(0, 0, 1), sequence=0, previous=0, free=None):
        self.device = device
        self.heap = heap
        self.superblock = superblock
        self.block = superblock.block
        self.size = superblock.segment
        self.largest = min(layout.LARGEST, self.size // 2 - 2 * self.block)
        self.catalog = catalog or Catalog(superblock.segments)
        self.segment, self.offset, self.following = position
        self.sequence, self.previous = sequence, previous
        self.group = Group(heap, self.block, device.align, superblock.volume)
        device.register(self.group.head, self.group.room)
        self.page = heap.alloc(4096)  # superblocks on their way
        self.page_vector = heap.alloc(64)
        self.urgent, self.pending = deque(), deque()
        self.flying, self.flying_at, self.tries = [], (0, 0), 0
        self.super_flying = False
        self.checkpoint_due = True
        self.fresh = superblock.sequence == 0  # nothing on the device says yet that there is a volume
        self.events = deque()
        self.readings = Readings(self)
        self.space = Space(self, deque(range(2, superblock.segments)) if free is None else free)
        self.counters = {"groups": 0, "entries": 0, "bytes": 0, "flushes": 0, "checkpoints": 0, "moved": 0, "errors": 0}

    # --- what goes in ---

    def create(self, name):
        """The log of that name, made if there is none: on the device with its first data."""
        log = self.catalog.names.get(name)
        if log is None:
            log = self.catalog.name(self.catalog.next_number, name)
            self.control(layout.NAME, log.number, 0, name)
        return log

    def reset(self, log):
        """Empty a log: an entry. What is waiting to be appended to it is not any more."""
        for entry in [entry for entry in self.pending if entry.number == log.number]:
            self.pending.remove(entry)
            self.fail(entry, "CANCELED")
        for entry in [e for e in self.urgent if e.kind == layout.MOVED and e.number == log.number]:
            self.urgent.remove(entry)
            self.space.moved()
        return self.control(layout.RESET, log.number, 0, b"")

    def truncate(self, log, offset):
        """Forget what is before `offset`, at most the end: at once here, with the next group on the device."""
        self.catalog.truncate(log, offset)
        return self.control(layout.TRUNCATE, log.number, offset, b"")

    def control(self, kind, number, offset, payload):
        entry = Entry(kind, number, offset, raw.view_at(memoryview(payload)), len(payload), payload)
        self.urgent.append(entry)
        return entry

    def append(self, log, address, length, keep=None, parts=None):
        """An entry of `length` bytes (1 to `largest`) at the end of a log."""
        entry = Entry(layout.DATA, log.number, 0, address, length, keep, parts)
        self.pending.append(entry)
        return entry

    @property
    def idle(self):
        """Nothing waits and nothing is on its way."""
        return not (self.flying or self.urgent or self.pending or self.super_flying or self.checkpoint_due)

    # --- groups ---

    def work(self):
        """Queue the next group, if there is something for one and none is on its way."""
        if self.flying or not (self.pending or self.urgent or self.checkpoint_due):
            return
        if not self.fresh or (self.checkpoint_due and not self.super_flying):
            self.next_group()

    def next_group(self):
        if self.checkpoint_due and not self.super_flying:
            if not self.checkpoint():
                self.fail_all(self.urgent, "NO_SPACE")
                self.fail_all(self.pending, "NO_SPACE")
            return
        entries = self.urgent if len(self.space.free) < RESERVE else chain(self.urgent, self.pending)
        n = self.group.choose(entries, self.size - self.offset)
        if not n:
            if self.urgent or self.pending:
                self.make_room()
            return
        entries = [self.urgent.popleft() if self.urgent else self.pending.popleft() for _ in range(n)]
        logs = self.catalog.logs
        for entry in entries:
            if entry.kind == layout.DATA:
                log = logs[entry.number]
                self.space.fruitless = 0
                entry.offset = log.given
                log.given += entry.length
        self.launch(entries)

    def make_room(self):
        """What waits needs another segment."""
        if self.super_flying and self.space.scarce():
            return  # what the checkpoint sets free comes first
        if self.space.advance(bool(self.urgent)):
            self.checkpoint_due = True
            self.next_group()
        elif self.urgent:
            self.fail_all(self.urgent, "NO_SPACE")
        elif not self.space.collect(4):
            self.space.fruitless = 0
            self.fail_all(self.pending, "NO_SPACE")
        elif self.checkpoint_due and not self.super_flying:
            self.next_group()

    def checkpoint(self):
        """Queue a group of the directory alone. False when there is no room left for that."""
        text = scan.packed(self.catalog.next_number, self.catalog.bad, list(self.catalog.listed()))
        entry = Entry(layout.CHECKPOINT, 0, 0, raw.view_at(memoryview(text)), len(text), text)
        if not self.group.choose([entry], self.size - self.offset):
            self.checkpoint_due = False
            if not (self.space.advance(True) and self.group.choose([entry], self.size)):
                return False
        self.checkpoint_due = False
        self.space.mark()
        self.counters["checkpoints"] += 1
        self.launch([entry])
        return True

    def launch(self, entries):
        self.flying = entries
        self.tries = 0
        self.group.fill(entries, len(entries))
        self.sequence += 1
        self.send()

    def send(self):
        group = self.group
        group.seal(self.sequence, self.previous, self.following, self.segment, self.offset)
        self.flying_at = self.segment, self.offset
        at = layout.SEGMENTS + self.segment * self.size + self.offset
        if not self.device.write(WRITE, at, group.vector, group.pieces, True):
            raise AssertionError("no room for a group: the device's depth is wrong")

    def completed(self, tag, result):
        """The device has finished a request; `result`: bytes, or a negative number."""
        if tag >= FIRST_READ:
            self.readings.completed(tag, result)
        elif tag == WRITE:
            if result != self.group.blocks * self.block:
                self.again()
            elif self.device.fua or self.device.write_through:
                self.durable()
            else:
                self.device.flush(FLUSH)
        elif tag == FLUSH:
            self.counters["flushes"] += 1
            if result < 0:
                self.again()
            else:
                self.durable()
        elif tag == SUPER and result == self.block and not (self.device.fua or self.device.write_through):
            self.device.flush(SUPER_FLUSH)
        elif tag in (SUPER, SUPER_FLUSH):
            self.super_flying = False
            if result < 0 or (tag == SUPER and result != self.block):
                self.counters["errors"] += 1
                self.superblock.sequence -= 1  # the next goes to the same copy: the other is the good one
                self.space.unmark()
            else:
                self.fresh = False
                self.space.release()

    def durable(self):
        """The group is there: its entries are done."""
        entries = self.flying
        segment, offset = self.flying_at
        self.flying = []
        self.previous = self.sequence
        self.offset = offset + self.group.blocks * self.block
        counters, apply, events = self.counters, self.catalog.apply, self.events
        counters["groups"] += 1
        for entry in entries:
            place = offset + entry.place
            kind = entry.kind
            if kind == layout.CHECKPOINT:
                self.write_superblock(segment, offset)
                continue
            name = entry.keep if kind == layout.NAME else None
            apply(kind, entry.number, entry.offset, entry.length, entry.crc, place, segment, name)
            entry.done = True
            if kind == layout.DATA:
                counters["entries"] += 1
                counters["bytes"] += entry.length
                events.append(entry)
            elif kind == layout.MOVED:
                counters["moved"] += 1
                self.space.moved()

    def write_superblock(self, segment, offset):
        new = self.superblock
        new.sequence += 1
        new.at = segment, offset, self.sequence
        text = new.packed().ljust(self.block, b"\0")
        raw.copy(self.page, raw.view_at(memoryview(text)), self.block)
        raw.store(self.page_vector, self.page)
        raw.store(self.page_vector + 8, self.block)
        self.super_flying = True
        self.device.write(SUPER, (new.sequence & 1) * layout.COPIES, self.page_vector, 1, True)

    def again(self):
        """The group has failed: once more in its place, then in the next segments, at last not at all."""
        self.counters["errors"] += 1
        self.tries += 1
        if self.tries > 1:
            self.catalog.bad.add(self.segment)
            if self.tries > TRIES or not self.space.advance(True):
                entries, self.flying = self.flying, []
                self.offset = self.size  # nothing more into this segment
                self.fail_all(entries, "DEVICE")
                self.fail_all(self.pending, "DEVICE")
                return
            self.checkpoint_due = True
            self.sequence += 1  # the one that failed may be there all the same
        self.send()

    def fail_all(self, entries, failure):
        for entry in list(entries):
            self.fail(entry, failure)
        entries.clear()

    def fail(self, entry, failure):
        entry.failure = failure
        entry.done = True
        if entry.kind == layout.DATA:
            log = self.catalog.logs[entry.number]
            log.given = log.end
            self.events.append(entry)
        elif entry.kind == layout.MOVED:
            self.space.moved()
        elif entry.kind == layout.CHECKPOINT:
            self.space.unmark()

    def close(self):
        """The memory back; the device is not ours."""
        for address in (*self.group.memory(), self.page, self.page_vector):
            self.heap.free(address)
