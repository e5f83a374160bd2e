"""What a program did with a volume, event by event of the device; and what must be there after a power cut."""

import ctypes
import random

from volumes import device, elements, mount, push, settle

from libos.blocks.memory import MemoryDevice
from libos.log import layout
from libos.log.straight import Straight

NAMES = (b"one", b"two", b"a/three", b"a/four")
STRAIGHT = 3  # the tag of a group that goes straight


class Step:
    """A change: issued at the event `begun`, acknowledged at `done` (None until then); `after`: what is there then."""

    def __init__(self, begun, after, entry):
        self.begun = begun
        self.done = None
        self.after = after
        self.entry = entry


class Straightly:
    """What became of a record that went straight."""

    done, failure = False, None


class Line:
    """Changes that become durable in their order; `first`: what was there before them."""

    def __init__(self, first):
        self.first = first
        self.steps = []

    def add(self, event, after, entry):
        self.steps.append(Step(event, after, entry))

    @property
    def last(self):
        return self.steps[-1].after if self.steps else self.first

    def note(self, event):
        for step in self.steps:
            if step.done is None and step.entry.done and not step.entry.failure:
                step.done = event

    def possible(self, event):
        """What may be there after a power cut at an event: nothing acknowledged is lost, nothing comes too early."""
        least = max(
            (i + 1 for i, step in enumerate(self.steps) if step.done is not None and step.done <= event), default=0
        )
        states = [self.first, *(step.after for step in self.steps)]
        return states[least : 1 + sum(step.begun <= event for step in self.steps)]


class History:
    """`lines`: by log its bytes; `names`: {name: log}; `cuts`: by log the (event, offset) of truncations. Some logs are
    held, as by a program that has them open.
    """

    def __init__(self, seed, steps, **options):
        self.random = random.Random(seed)
        self.device = device(recorded=True, **options)
        self.blank = bytes(len(self.device.image))
        self.device.shuffle = self.random.shuffle
        self.volume = mount(self.device, settled=False)
        self.names = Line({})
        self.straight = Straight(self.volume, len(NAMES), booked=bool(seed & 1))
        self.lines, self.cuts, self.held = {}, {}, []
        self.counts = {}
        for _ in range(steps):
            self.step()
        settle(self.volume)
        self.note()
        for log in self.held:
            assert b"".join(elements(self.volume, log)) == self.lines[log].last[log.head :]
        self.straight.close()
        self.volume.close()

    def step(self):
        choice = self.random.random()
        name = self.random.choice(NAMES)
        log = self.volume.names.get(name) or self.created(name)
        if self.held and self.random.random() < 0.2:
            log = self.random.choice(self.held)
        if choice < 0.45 and len(self.volume.pending) < 8:
            self.push(log)
        elif log.end - log.head > 9000:  # few living bytes, and what waits
            self.shorten(log)
        elif choice < 0.53:
            self.volume.space.collect(1000)  # as when segments are scarce: whatever lives in one is moved
        elif choice < 0.66:
            kinds = (self.rename, self.rename, self.unlink, self.cut, self.cut, self.grow, self.reset, self.hold)
            self.random.choice(kinds)(log)
        elif choice < 0.69 and self.device.fua:
            self.go_straight()
        else:
            self.turn()

    def did(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def created(self, name):
        log = self.volume.create(name)
        self.lines[log], self.cuts[log] = Line(b""), []
        self.names.add(self.device.events, self.names.last | {name: log}, self.volume.urgent[-1])
        return log

    def push(self, log):
        size = self.random.choice((1, 40, 512, 900, 4096, 4600))
        data = self.random.randbytes(size)
        entry = push(self.volume, log, data, self.random.random() < 0.5)
        self.lines[log].add(self.device.events, self.lines[log].last + data, entry)

    def shorten(self, log):
        if self.busy(log):
            return self.turn()
        offset = log.end - 4000
        if self.random.random() < 0.5:
            self.volume.truncate(log, offset)
            self.cuts[log].append((self.device.events, offset))
            self.did("truncate")
        else:
            self.end(log, log.head + 3000)

    def end(self, log, end):
        if self.busy(log):
            return self.turn()
        entry = self.volume.resize(log, end)
        self.lines[log].add(self.device.events, self.lines[log].last[:end].ljust(end, b"\0"), entry)
        self.did("end")

    def busy(self, log):
        """Whether anything waits that changes it: who moves its end or beginning waits for that first."""
        return self.volume.waiting(log) or any(entry.number == log.number for entry in self.volume.urgent)

    def cut(self, log):
        self.end(log, self.random.randint(log.head, log.end))

    def grow(self, log):
        self.end(log, log.end + self.random.choice((1, 700, 5000)))

    def reset(self, log):
        if self.busy(log):
            return self.turn()
        self.lines[log].add(self.device.events, b"", self.volume.reset(log))
        self.cuts[log].append((self.device.events, 0))
        self.did("reset")

    def rename(self, log):
        if log not in self.names.last.values():
            return self.turn()
        name = self.random.choice(NAMES)
        after = {known: one for known, one in self.names.last.items() if one is not log} | {name: log}
        self.names.add(self.device.events, after, self.volume.rename(log, name))
        self.did("rename")

    def unlink(self, log):
        if log not in self.names.last.values():
            return self.turn()
        after = {name: one for name, one in self.names.last.items() if one is not log}
        self.names.add(self.device.events, after, self.volume.unlink(log))
        self.did("unlink")

    def hold(self, log):
        """Open it, or close one that is open."""
        if len(self.held) < 2 and log not in self.held and log.number in self.volume.catalog.logs:
            self.volume.hold(log)
            self.held.append(log)
        elif self.held:
            # what is pushed to a log without a name that nobody has open any more is given up
            idle = [one for one in self.held if not self.volume.waiting(one)]
            for one in idle[:1]:
                self.held.remove(one)
                self.volume.let_go(one)

    def turn(self):
        """One request finishes, no more."""
        self.volume.work()
        self.note()
        tag = self.device.completion()
        if tag:
            self.volume.completed(tag, self.device.result)
            self.note()

    def go_straight(self):
        """Some groups of appends without the machine; the next is filled while one is on its way."""
        while not self.volume.idle or self.volume.readings.out:
            self.turn()
        logs = [log for log in self.volume.names.values() if log.end - log.head < 9000]
        for i, log in enumerate(logs):
            self.straight.bind(i, log)
        self.straight.begin()
        entries = self.fill(logs)
        while self.straight.count:
            self.device.write(STRAIGHT, self.straight.sealed(), self.straight.vector, 1, True)
            more = self.fill(logs) if self.random.random() < 0.5 else []
            assert self.device.completion() == STRAIGHT
            self.straight.over(self.device.result)
            for entry in entries:
                entry.done = True
            self.note()
            self.did("straight")
            entries = more
        self.straight.end()

    def fill(self, logs):
        """Put some records into the group that is filled."""
        entries = []
        for _ in range(self.random.randrange(4) if logs else 0):
            i = self.random.randrange(len(logs))
            data = self.random.randbytes(self.random.choice((1, 40, 512, 900)))
            place = self.straight.place(len(data), 2)
            if place <= 0:
                break
            ctypes.memmove(self.straight.rooms + self.straight.filling * layout.STRAIGHT_ROOM + place, data, len(data))
            self.straight.put(i, place, len(data))
            entries.append(Straightly())
            self.lines[logs[i]].add(self.device.events, self.lines[logs[i]].last + data, entries[-1])
        return entries

    def note(self):
        for line in (self.names, *self.lines.values()):
            line.note(self.device.events)
        for entry in self.volume.events:  # what waited for a log that is gone is given up, and nothing else fails
            if entry.failure:
                assert entry.failure == "CANCELED" and entry.number not in self.volume.catalog.logs
        self.volume.events.clear()

    def check(self, image, event, whole):
        """Mount what a power cut after `event` events has left. `whole`: compare every byte, not lengths alone."""
        volume = mount(MemoryDevice(image=image, block=self.device.block), settled=False)
        there = volume.catalog.names
        found = {name: b"".join(elements(volume, log)) for name, log in there.items()} if whole else None
        for names in self.names.possible(event):
            if set(names) == set(there) and all(
                self.right(names[n], there[n], event, found and found[n]) for n in names
            ):
                assert len(there) == len(volume.catalog.logs)  # what has no name is gone
                return volume
        raise AssertionError((event, {name: (log.head, log.end) for name, log in there.items()}))

    def right(self, log, left, event, found):
        """Whether what is left may be that log."""
        heads = [0, *(offset for at, offset in self.cuts[log] if at <= event)]
        states = self.lines[log].possible(event)
        if left.head not in heads:
            return False
        return any(len(state) == left.end and (found is None or state[left.head :] == found) for state in states)
