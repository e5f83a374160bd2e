"""Power cuts: the stream of writes is cut at every event, unfinished writes are torn, and what is left is mounted.

Nothing acknowledged is lost, nothing appears that was not pushed, and the volume goes on.
"""

import os
import random

import pytest
from histories import History
from volumes import device, elements, mount, push, settle

from libos.blocks.memory import SECTOR, MemoryDevice, after_power_cut
from libos.log import volume as machine

COMPILED = machine.COMPILED
FULL = os.environ.get("FLAP_MATRIX") == "full"  # 12 histories, of a thousand power cuts and more each
PATTERNS = ("none", "all", "first", "last", "some", "others")


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


@pytest.mark.parametrize("seed", range(4 if FULL and COMPILED else 1))
@pytest.mark.parametrize("options", [{}, {"block": 4096}, {"fua": False}], ids=["fua", "4096", "flush"])
def test_power_cut_at_every_write(seed, options):
    """Each event, with six ways to tear what is under way; then every number of sectors of what begins there."""
    history = History(seed, 500 if COMPILED else 60, segments=20, **options)
    chance, points = random.Random(seed), 0
    if COMPILED:
        done = {"truncate", "end", "rename", "unlink"} | ({"straight"} if history.device.fua else set())
        assert set(history.counts) >= done, history.counts
        assert history.volume.counters["moved"]

    def cut(event, survives, whole):
        image = after_power_cut(history.blank, history.device.record, event, survives)
        history.check(image, event, whole).close()

    for event in range(history.device.events + 1):
        for pattern in PATTERNS:
            cut(event, survivor(pattern, chance), event % len(PATTERNS) == PATTERNS.index(pattern))
            points += 1
        for written in history.device.record:
            if written.begun == event:
                for many in range(1, len(written.data) // SECTOR):
                    cut(event, lambda _, n, m=many: n < m, many % 4 == event % 4)
                    points += 1
    assert points > (1000 if COMPILED else 100), points


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
