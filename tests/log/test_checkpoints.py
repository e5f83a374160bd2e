"""Checkpoints: none costs more than what it spares, and power cuts between them lose nothing."""

import struct
import time

import pytest
from volumes import device, elements, mount, push, settle

from libos.blocks.memory import MemoryDevice
from libos.log import layout, scan, volume

COMPILED = volume.COMPILED
LOGS = 90


def written(logs, rounds):
    """A volume of so many logs, to which a few are pushed to in each of some rounds."""
    there = mount(device(segments=40))
    some = [there.create(b"a log of some name %d" % n) for n in range(logs)]
    settle(there)
    for log in some:
        push(there, log, b"first")
    settle(there)
    before = there.counters["checkpoints"], there.segment
    for i in range(rounds):
        push(there, some[i % logs], bytes([i & 255]) * 2000)
        settle(there)
    return there, there.counters["checkpoints"] - before[0], there.segment - before[1]


def test_a_large_directory_is_written_seldom():
    there, checkpoints, segments = written(LOGS, 120)
    assert there.directory > 16384 // 8 and 0 < checkpoints < segments, (checkpoints, segments, there.directory)
    image = MemoryDevice(image=bytearray(there.device.image))
    again = mount(image, settled=False)
    assert list(again.catalog.texts()) == list(there.catalog.texts())
    there.close()
    again.close()


def test_a_small_one_begins_each_segment():
    there, checkpoints, segments = written(3, 60)
    assert segments > 5 and checkpoints == segments
    there.close()


def test_what_waits_goes_out_with_a_checkpoint():
    """A push is one write, whether a segment and its checkpoint begin with it or not."""
    memory = device(segments=40, recorded=True)
    there = mount(memory)
    log = there.create(b"log")
    settle(there)
    memory.record.clear()
    for i in range(60):
        push(there, log, bytes([i]) * 2000)
        settle(there)
    groups = [written.data for written in memory.record if written.offset >= layout.SEGMENTS]
    with_others = [
        struct.unpack_from("<I", group, layout.G_COUNT)[0] == 2 for group in groups if kind(group) == layout.CHECKPOINT
    ]
    assert len(groups) == 60 and len(with_others) > 5 and all(with_others)
    again = mount(MemoryDevice(image=bytearray(memory.image)))
    assert elements(again, again.names[b"log"]) == [bytes([i]) * 2000 for i in range(60)]
    again.close()
    there.close()


def kind(group):
    """That of its first record."""
    return struct.unpack_from("<I", group, layout.HEADER)[0]


def test_texts_are_those_of_what_there_is():
    """What is kept of a log's text is what would be made now, whatever has become of the log."""
    there, _, _ = written(10, 40)
    names = there.catalog.names
    list(there.catalog.texts())
    one, two, three = (names[b"a log of some name %d" % n] for n in (1, 2, 3))
    there.hold(two)
    there.rename(one, b"a log of some name 2")
    there.unlink(three)
    there.reset(names[b"a log of some name 4"])
    there.truncate(names[b"a log of some name 5"], 100)
    settle(there)
    there.resize(names[b"a log of some name 6"], 300)
    there.resize(names[b"a log of some name 7"], 30000)
    settle(there)
    push(there, names[b"a log of some name 8"], b"more")
    there.space.collect(1000)
    settle(there)
    kept = list(there.catalog.texts())
    for log in there.catalog.logs.values():
        log.text = None
    assert list(there.catalog.texts()) == kept and len(kept) == 9
    there.close()


@pytest.mark.skipif(not COMPILED, reason="a measure of compiled code")
def test_a_directory_of_which_little_has_changed_is_made_soon():
    there = mount(device(segments=2000, segment=16384))
    for n in range(20000):
        there.catalog.names.bind(there.catalog.log(n + 1), b"log %d" % n)
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        scan.packed(1, [], there.catalog.texts(), [])
        times.append(time.perf_counter() - begun)
    assert min(times[1:]) < times[0] / 2, times
    there.close()
