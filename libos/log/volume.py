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
from libos.log.names import Names
from libos.log.reading import Readings
from libos.log.space import RESERVE, Space

COMPILED = __file__.endswith(".so")
WRITE, FLUSH, SUPER, SUPER_FLUSH, FIRST_READ = 1, 2, 3, 4, 16  # tags


class Volume:
    """`superblock`: what is on the device, or will be; `catalog`: what was found. `segment`, `offset`: where the next
    group goes; `following`: the segment after that; `sequence`: the last that was used, `previous`: the last that is
    durable. `free`: segments that may be written, in their order. `names`: as they will be when what waits is durable;
    those of the catalog are on the device.
    """

    def __init__(self, device, heap, superblock, catalog=None, position=(0, 0, 1), sequence=0, previous=0, free=None):
        self.device = device
        self.heap = heap
        self.superblock = superblock
        self.block = superblock.block
        self.size = superblock.segment
        self.largest = min(layout.LARGEST, self.size // 2 - 2 * self.block)
        self.catalog = catalog or Catalog(superblock.segments)
        self.names = Names(self.catalog.names)
        self.nameless = set()  # logs that have lost their name, to be looked at
        self.segment, self.offset, self.following = position
        self.sequence, self.previous = sequence, previous
        self.group = Group(heap, self.block, device.align, superblock.volume)
        device.register(self.group.head, self.group.room)
        self.page = heap.alloc(4096)  # superblocks on their way
        self.page_vector = heap.alloc(64)
        self.urgent, self.pending = deque(), deque()
        self.flying, self.flying_at, self.tries = [], (0, 0), 0
        self.suspects = []  # segments that could not be written, while the device may be what is at fault
        self.super_flying = False
        self.checkpoint_due = True
        self.directory = self.unlisted = 0  # bytes of the last one; bytes of segments begun since
        # nothing on the device leads to what is written next: first there is to be a superblock
        self.fresh = superblock.sequence == 0 or superblock.version != layout.VERSION
        self.broken = 0  # the sequence at which that began
        self.events = deque()
        self.readings = Readings(self)
        self.space = Space(self, deque(range(2, superblock.segments)) if free is None else free)
        self.counters = {"groups": 0, "entries": 0, "bytes": 0, "flushes": 0, "checkpoints": 0, "moved": 0, "errors": 0}

    # --- what goes in ---

    def create(self, name):
        """The log of that name, made if there is none: on the device with its first data."""
        log = self.names.get(name)
        if log is None:
            log = self.new_log()
            self.rename(log, name)
        return log

    def new_log(self):
        """A log without a name yet."""
        return self.catalog.log(self.catalog.next_number)

    def rename(self, log, name):
        """The log has this name from now on; whichever had it has none. An entry."""
        self.names.bind(log, name)
        return self.control(layout.NAME, log.number, 0, name)

    def unlink(self, log):
        """The log has no name any more: an entry. It is there as long as somebody has it open."""
        self.names.release(log)
        return self.control(layout.UNLINK, log.number, 0, b"")

    def hold(self, log):
        """Somebody has opened a log."""
        log.users += 1

    def let_go(self, log):
        """The reverse of `hold`."""
        log.users -= 1
        self.nameless.add(log)

    def reset(self, log):
        """Empty a log: an entry. What is waiting to be appended to it is not any more."""
        self.give_up(log)
        return self.control(layout.RESET, log.number, 0, b"")

    def resize(self, log, end):
        """The log ends at `end`, at least its head, from now on: what is behind is gone, what was not there is zeros.
        An entry. Nothing may wait to be appended to it.
        """
        return self.control(layout.END, log.number, end, b"")

    def waiting(self, log):
        """Whether anything is to be appended to a log, or is on its way."""
        return any(entry.number == log.number for entry in chain(self.flying, self.pending))

    def give_up(self, log):
        """What waits to be appended to a log is not any more."""
        for entry in [entry for entry in self.pending if entry.number == log.number]:
            self.pending.remove(entry)
            self.fail(entry, "CANCELED")

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
        if log.number in self.catalog.logs:
            self.pending.append(entry)
        else:  # it could not be made, or is gone
            self.fail(entry, "INVALID")
        return entry

    @property
    def idle(self):
        """Nothing waits and nothing is on its way."""
        return self.resting and not self.super_flying

    @property
    def resting(self):
        """The same, but for a superblock."""
        waits = self.flying or self.urgent or self.pending or self.checkpoint_due
        return not (waits or self.nameless or self.space.loaded)

    # --- groups ---

    def work(self):
        """Queue the next group, if there is something for one and none is on its way."""
        if self.flying:
            return
        if self.nameless:
            self.forget()
        if self.space.loaded and not self.urgent:
            self.space.move()
        if not (self.pending or self.urgent or self.checkpoint_due):
            return
        if self.fresh and not self.super_flying:
            self.checkpoint_due = True
        if not self.fresh or (self.checkpoint_due and not self.super_flying):
            self.next_group()

    def forget(self):
        """Logs that have no name and that nobody has open; nothing is on its way."""
        for log in list(self.nameless):
            if any(entry.number == log.number for entry in self.urgent):
                continue
            self.nameless.discard(log)
            if log.number in self.catalog.logs and not (log.users or self.catalog.names.of(log)):
                self.give_up(log)
                self.catalog.drop(log)

    def next_group(self):
        """What waits, behind a checkpoint where one is due."""
        entries = []
        if self.checkpoint_due and not self.super_flying:
            entries = self.checkpoint()
            if not entries:
                self.fail_all(self.urgent, "NO_SPACE")
                self.fail_all(self.pending, "NO_SPACE")
                return
        waits = self.urgent if len(self.space.free) < RESERVE else chain(self.urgent, self.pending)
        if self.fresh:  # nothing is done that no superblock leads to
            waits = ()
        n = self.group.choose(chain(entries, waits) if entries else waits, self.size - self.offset)
        if not n:
            if self.urgent or self.pending:
                self.make_room()
            return
        entries += [self.urgent.popleft() if self.urgent else self.pending.popleft() for _ in range(n - len(entries))]
        logs = self.catalog.logs
        for entry in entries:
            if entry.kind == layout.DATA:
                log = logs[entry.number]
                self.space.fruitless = 0
                entry.offset = log.given
                log.given += entry.length
            elif entry.kind in (layout.RESET, layout.END):
                logs[entry.number].given = entry.offset
        self.launch(entries)

    def make_room(self):
        """What waits needs another segment."""
        if self.super_flying and self.space.scarce():
            return  # what the checkpoint sets free comes first
        if self.space.advance(bool(self.urgent)):
            self.unlisted += self.size
            self.checkpoint_due = self.unlisted >= layout.SPARING * self.directory
            self.next_group()
        elif self.urgent:
            self.fail_all(self.urgent, "NO_SPACE")
        elif not self.space.collect(4):
            self.space.fruitless = 0
            self.fail_all(self.pending, "NO_SPACE")
        elif self.checkpoint_due and not self.super_flying:
            self.next_group()

    def checkpoint(self):
        """An entry of the directory, in a list; none when there is no room left for it."""
        catalog = self.catalog
        text = scan.packed(catalog.next_number, catalog.bad, catalog.texts(), catalog.ends_listed())
        entry = Entry(layout.CHECKPOINT, 0, 0, raw.view_at(memoryview(text)), len(text), text)
        if not self.group.choose([entry], self.size - self.offset):
            self.checkpoint_due = False
            if not (self.space.advance(True) and self.group.choose([entry], self.size)):
                return []
        self.checkpoint_due = False
        self.directory, self.unlisted = len(text), 0
        self.space.mark()
        self.counters["checkpoints"] += 1
        return [entry]

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
                if self.fresh:
                    self.fail_all(self.urgent, "DEVICE")
                    self.fail_all(self.pending, "DEVICE")
            else:
                if self.superblock.at[2] > self.broken:
                    self.fresh = False
                self.space.release()

    def durable(self):
        """The group is there: its entries are done."""
        entries = self.flying
        segment, offset = self.flying_at
        self.flying = []
        self.previous = self.sequence
        self.catalog.bad.update(self.suspects)
        self.suspects.clear()
        self.offset = self.catalog.ends[segment] = offset + self.group.blocks * self.block
        catalog, counters, events = self.catalog, self.counters, self.events
        counters["groups"] += 1
        for entry in entries:
            place = offset + entry.place
            kind = entry.kind
            if kind == layout.CHECKPOINT:
                self.write_superblock(segment, offset)
                continue
            name = None
            if kind == layout.NAME:
                name = entry.keep
                if name in catalog.names:
                    self.nameless.add(catalog.names[name])
            catalog.apply(kind, entry.number, entry.offset, entry.length, entry.crc, place, segment, name)
            entry.done = True
            if kind == layout.DATA:
                counters["entries"] += 1
                counters["bytes"] += entry.length
                events.append(entry)
            elif kind == layout.MOVED:
                counters["moved"] += 1
                self.space.moved()
            elif kind == layout.UNLINK:
                self.nameless.add(catalog.logs[entry.number])

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
        """The group has failed: once more in its place, then in the next segment, where it is looked for too, at last
        not at all.
        """
        self.counters["errors"] += 1
        self.tries += 1
        if self.tries > 1:
            self.suspects.append(self.segment)
            if self.tries > 2 or not self.space.advance(True):
                entries, self.flying = self.flying, []
                self.suspects.clear()
                self.offset = self.size  # nothing more into this segment
                self.fresh, self.broken, self.checkpoint_due = True, self.sequence, False
                self.fail_all(entries, "DEVICE")
                self.fail_all(self.urgent, "DEVICE")
                self.fail_all(self.pending, "DEVICE")
                return
            self.checkpoint_due = True
            self.sequence += 1  # the one that failed may be there all the same
        self.send()

    def fail_all(self, entries, failure):
        failing = list(entries)
        entries.clear()
        for entry in failing:
            self.fail(entry, failure)

    def fail(self, entry, failure):
        entry.failure = failure
        entry.done = True
        log = self.catalog.logs.get(entry.number)
        if log is not None:
            log.given = log.end
        if entry.kind == layout.DATA:
            self.events.append(entry)
        elif entry.kind in (layout.NAME, layout.UNLINK):
            self.review()
        elif entry.kind == layout.MOVED:
            self.space.moved()
        elif entry.kind == layout.CHECKPOINT:
            self.space.unmark()

    def review(self):
        """A name could not be given or taken away: names will be those on the device, and what still waits."""
        self.names = Names(self.catalog.names)
        for entry in chain(self.flying, self.urgent):
            if entry.kind == layout.NAME:
                self.names.bind(self.catalog.logs[entry.number], entry.keep)
            elif entry.kind == layout.UNLINK:
                self.names.release(self.catalog.logs[entry.number])
        self.nameless.update(log for log in self.catalog.logs.values() if not self.names.of(log))

    def close(self):
        """The memory back; the device is not ours."""
        for address in (*self.group.memory(), self.page, self.page_vector):
            self.heap.free(address)
