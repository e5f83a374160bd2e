"""Groups that go to the device without the machine: all is there afterwards, after power cuts and failures too."""

import ctypes
import random

import pytest
from volumes import device, elements, mount, push, settle

from libos.blocks.memory import MemoryDevice, after_power_cut
from libos.log import layout, straight

COMPILED = straight.COMPILED
WRITE = 3


class Appender:
    """A volume of three logs, appended to by turns with its machine and straight. `acknowledged`: [(event of the
    device, {name: bytes that are durable by then})].
    """

    def __init__(self, **options):
        self.device = device(recorded=True, **options)
        self.blank = bytes(len(self.device.image))
        self.volume = mount(self.device)
        self.straight = straight.Straight(self.volume, 3)
        self.names = (b"one", b"two", b"three")
        self.data = dict.fromkeys(self.names, b"")
        self.acknowledged = []
        for i, name in enumerate(self.names):
            self.by_machine(name, b"first")
            self.straight.bind(i, self.volume.catalog.names[name])
        self.straight.begin()

    def by_machine(self, name, data):
        entry = push(self.volume, self.volume.create(name), data)
        settle(self.volume)
        assert not entry.failure
        self.data[name] += data
        self.note()

    def note(self):
        self.acknowledged.append((self.device.events, dict(self.data)))

    def put(self, i, data, expected):
        """What `place` said; the record is in the group where that is more than 0."""
        place = self.straight.place(len(data), expected)
        if place > 0:
            room = self.straight.rooms + self.straight.filling * layout.STRAIGHT_ROOM
            ctypes.memmove(room + place, data, len(data))
            self.straight.put(i, place, len(data))
        return place

    def write(self):
        """The device's own answer to the group that was filled."""
        self.device.write(WRITE, self.straight.sealed(), self.straight.vector, 1, True)
        assert self.device.completion() == WRITE
        return self.device.result

    def append(self, records, expected):
        """Groups of (line, bytes), as full as they can be; by the machine where the segment has no room."""
        self.grown = dict(self.data)
        for i, data in records:
            place = self.put(i, data, expected)
            if place == 0:
                self.go_out()
                place = self.put(i, data, expected)
            if place > 0:
                self.grown[self.names[i]] += data
                continue
            self.straight.end()
            self.by_machine(self.names[i], data)
            self.grown = dict(self.data)
            self.straight.begin()
        if self.straight.count:
            self.go_out()

    def go_out(self):
        self.straight.over(self.write())
        self.data = dict(self.grown)
        self.note()


def held(image, block=512):
    volume = mount(MemoryDevice(image=bytearray(image), block=block))
    logs = volume.catalog.names
    found = {name: b"".join(elements(volume, log)) for name, log in logs.items()}
    volume.close()
    return found


@pytest.mark.parametrize("block", [512, 4096])
@pytest.mark.parametrize("seed", range(6))
def test_all_is_there(seed, block):
    chance = random.Random(seed)
    there = Appender(block=block)
    for _ in range(60):
        records = [(chance.randrange(3), chance.randbytes(chance.choice((1, 7, 100, 600, 3000)))) for _ in range(3)]
        there.append(records[: chance.randrange(1, 4)], chance.choice((1, 3, 5)))
        if chance.random() < 0.1:  # for whom there is none of the machine's own yet
            there.straight.end()
            name = chance.choice(there.names)
            there.volume.truncate(there.volume.catalog.names[name], there.volume.catalog.names[name].head)
            settle(there.volume)
            there.straight.begin()
        if sum(map(len, there.data.values())) > 60000:
            break
    there.straight.end()
    assert there.volume.counters["bytes"] == sum(map(len, there.data.values()))
    assert {n: b"".join(elements(there.volume, log)) for n, log in there.volume.catalog.names.items()} == there.data
    assert held(there.device.image, block) == there.data
    # a power cut at any event: what was acknowledged by then, and perhaps something of what came next
    for event in range(0, there.device.events, 3):
        image = after_power_cut(there.blank, there.device.record, event, lambda *_: chance.random() < 0.5)
        acknowledged = [data for at, data in there.acknowledged if at <= event]
        if acknowledged:
            found = held(image, block)
            for name, data in acknowledged[-1].items():
                assert found.get(name, b"").startswith(data) and there.data[name].startswith(found.get(name, b""))


def test_a_full_group_goes_out_first():
    there = Appender()
    assert there.put(0, b"a", 1) > 0 and there.put(1, b"b", 1) == 0  # one was expected
    there.straight.over(there.write())
    assert there.put(1, b"b", 2) > 0 and there.put(2, b"c", 1) > 0 and there.put(0, b"d", 9) == 0
    there.straight.over(there.write())
    assert there.put(0, b"x" * 17000, 1) == -1  # no segment is that large
    assert there.put(0, b"x" * 9000, 1) > 0 and there.put(1, b"y" * 9000, 5) == 0


def test_the_next_is_filled_while_one_is_on_its_way():
    there = Appender()
    there.put(0, b"a", 1)
    result, number = there.write(), there.straight.number
    assert there.put(1, b"b", 2) > 0 and there.put(0, b"c", 2) > 0
    there.straight.over(result)
    assert there.straight.done == number - 1
    there.straight.over(there.write())
    there.straight.end()
    assert held(there.device.image) == {b"one": b"firstac", b"two": b"firstb", b"three": b"first"}


@pytest.mark.parametrize("torn", [False, True])
def test_a_group_that_fails(torn):
    """It and what was filled meanwhile are in doubt; the machine goes on as if nothing of them had been there."""
    there = Appender()
    there.append([(2, b"third")], 1)
    if not torn:
        there.device.fault = lambda *_: -5
    there.put(0, b"a" * 2000, 1)
    result = there.write()
    there.put(1, b"b", 1)
    there.straight.over(-5 if torn else result)
    there.device.fault = None
    assert not there.straight.open and there.put(2, b"c", 1) == -1
    there.straight.refuse()
    doubts = [there.straight.lines + i * layout.LINE + layout.L_DOUBT for i in range(3)]
    assert [ctypes.c_uint64.from_address(at).value for at in doubts] == [1, 1, 0]
    assert there.straight.done == there.straight.number - 1
    there.straight.end()
    there.by_machine(b"one", b"again")
    expected = {b"one": b"firstagain", b"two": b"first", b"three": b"firstthird"}
    assert held(there.device.image) == expected
    there.straight.begin()
    there.append([(1, b"more")], 1)
    there.straight.end()
    assert held(there.device.image) == expected | {b"two": b"firstmore"}


def test_not_while_the_machine_has_something_to_do():
    there = Appender()
    there.straight.end()
    assert there.put(0, b"a", 1) == -1
    there.volume.checkpoint_due = True
    there.straight.begin()
    assert there.put(0, b"a", 1) == -1
    settle(there.volume)
    there.straight.begin()
    assert there.put(0, b"a", 1) > 0
