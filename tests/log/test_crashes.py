"""Power cuts: the stream of writes is cut at every event, unfinished writes are torn, and what is left is mounted.

Nothing acknowledged is lost, nothing appears that was not pushed, and the volume goes on.
"""

import random

import pytest
from volumes import device, elements, mount, push, settle

from libos.blocks.memory import SECTOR, MemoryDevice, after_power_cut
from libos.log import volume as machine

COMPILED = machine.COMPILED
PATTERNS = ("none", "all", "first", "last", "some", "others")


class History:
    """What a program did, by events of the device: pushes, when each was acknowledged, what was truncated."""

    def __init__(self, seed, steps, **options):
        self.random = random.Random(seed)
        self.device = device(recorded=True, **options)
        self.blank = bytes(len(self.device.image))
        self.device.shuffle = self.random.shuffle
        self.volume = mount(self.device, settled=False)
        self.logs = {}  # name: [[event of the push, event of the acknowledgment or None, data], ...]
        self.cuts = {}  # name: [(event, offset)]: truncations
        for _ in range(steps):
            self.step()
        settle(self.volume)
        self.note()
        self.volume.close()

    def step(self):
        choice = self.random.random()
        name = self.random.choice((b"one", b"two", b"three"))
        log = self.volume.catalog.names.get(name) or self.volume.create(name)
        pushed = self.logs.setdefault(name, [])
        if choice < 0.55 and len(self.volume.pending) < 8:
            size = self.random.choice((1, 40, 512, 900, 4096, 4600))
            data = self.random.randbytes(size)
            entry = push(self.volume, log, data, self.random.random() < 0.5)
            pushed.append([self.device.events, None, data, entry])
        elif log.end - log.head > 12000:  # 36,000 living bytes at most, and what waits
            self.volume.truncate(log, log.end - 6000)
            self.cuts.setdefault(name, []).append((self.device.events, log.end - 6000))
        else:
            self.turn()

    def turn(self):
        """One request finishes, no more."""
        self.volume.work()
        self.note()
        tag = self.device.completion()
        if tag:
            self.volume.completed(tag, self.device.result)
            self.note()

    def note(self):
        for pushed in self.logs.values():
            for one in pushed:
                if one[1] is None and one[3].done:
                    assert not one[3].failure
                    one[1] = self.device.events
        self.volume.events.clear()

    def check(self, image, event):
        """What must be there after `event` events, and may."""
        left = MemoryDevice(image=image, block=self.device.block)
        volume = mount(left, settled=False)
        for name, pushed in self.logs.items():
            whole = b"".join(one[2] for one in pushed if one[0] <= event)
            least = sum(len(one[2]) for one in pushed if one[1] is not None and one[1] <= event)
            log = volume.catalog.names.get(name)
            if log is None:
                assert not least, (name, event)
                continue
            assert least <= log.end <= len(whole), (name, event, least, log.end)
            allowed = [0, *(offset for at, offset in self.cuts.get(name, ()) if at <= event)]
            assert log.head in allowed, (log.head, allowed)
        return volume

    def check_bytes(self, volume, event):
        for name, pushed in self.logs.items():
            log = volume.catalog.names.get(name)
            if log is not None:
                whole = b"".join(one[2] for one in pushed if one[0] <= event)
                assert b"".join(elements(volume, log)) == whole[log.head : log.end]


def survivor(pattern, chance):
    if pattern == "none":
        return lambda written, sector: False
    if pattern == "all":
        return lambda written, sector: True
    if pattern == "first":
        return lambda written, sector: sector == 0
    if pattern == "last":
        return lambda written, sector: sector == (len(written.data) - 1) // SECTOR
    return lambda written, sector: chance.random() < 0.5


@pytest.mark.parametrize("seed", range(4 if COMPILED else 1))
@pytest.mark.parametrize("options", [{}, {"block": 4096}, {"fua": False}], ids=["fua", "4096", "flush"])
def test_power_cut_at_every_write(seed, options):
    """Each event, with six ways to tear what is under way; then every number of sectors of what begins there."""
    history = History(seed, 400 if COMPILED else 25, segments=16, **options)
    chance, points = random.Random(seed), 0
    events = history.device.events
    for event in range(events + 1):
        for pattern in PATTERNS:
            image = after_power_cut(history.blank, history.device.record, event, survivor(pattern, chance))
            volume = history.check(image, event)
            points += 1
            if event % len(PATTERNS) == PATTERNS.index(pattern):
                history.check_bytes(volume, event)
            volume.close()
        for written in history.device.record:
            if written.begun == event:
                for many in range(1, len(written.data) // SECTOR):
                    image = after_power_cut(history.blank, history.device.record, event, lambda _, n, m=many: n < m)
                    volume = history.check(image, event)
                    if many % 4 == event % 4:
                        history.check_bytes(volume, event)
                    volume.close()
                    points += 1
    assert points > (1500 if COMPILED else 100), points


@pytest.mark.parametrize("seed", range(20 if COMPILED else 3))
def test_goes_on_after_power_cuts(seed):
    """A device that loses power again and again: each time what was acknowledged is there, and more is written."""
    chance = random.Random(seed)
    memory = device(recorded=True)
    want, maybe = [], []
    for _ in range(12):
        volume = mount(memory)
        log = volume.create(b"log")
        settle(volume)
        found = elements(volume, log)
        assert want == found[: len(want)]
        assert found in [want + maybe[:n] for n in range(len(maybe) + 1)]
        want = found
        entries = []
        for _ in range(chance.randrange(1, 9)):
            data = chance.randbytes(chance.choice((10, 600, 4096)))
            entries.append((data, push(volume, log, data)))
            if chance.random() < 0.4:
                settle(volume)
        want += [data for data, entry in entries if entry.done]
        maybe = [data for data, entry in entries if not entry.done]
        memory.hold = True
        volume.work()  # on its way when the power goes
        blank = bytearray(memory.image)
        image = after_power_cut(blank, memory.record[-1:], memory.events, lambda *_: chance.random() < 0.7)
        memory = MemoryDevice(image=image, recorded=True)
        volume.close()


def test_a_segment_of_an_earlier_life_is_not_taken_for_the_tail():
    """Segments are written again and again; after each power cut the end is the end."""
    memory = device(segments=7)
    volume = mount(memory)
    log = volume.create(b"log")
    for i in range(200):
        push(volume, log, bytes([i]) * 900)
        settle(volume)
        if log.end > 20000:
            volume.truncate(log, log.end - 9000)
        if i % 10 == 0:
            settle(volume)
            end, head = log.end, log.head
            volume = mount(MemoryDevice(image=bytearray(memory.image)))
            memory = volume.device
            log = volume.catalog.names[b"log"]
            assert (log.head, log.end) == (head, end)
            assert len(elements(volume, log)) == -(-(end - head) // 900)
    assert volume.catalog.used.count(0)
