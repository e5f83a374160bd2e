"""A device that fails: nothing acknowledged is lost, a push that fails says so, and what can go on goes on."""

import random

import pytest
from volumes import SEGMENT, device, elements, mount, push, read, settle

from libos.blocks.memory import MemoryDevice
from libos.log import layout


def remounted(memory):
    return mount(MemoryDevice(image=bytearray(memory.image), block=memory.block))


def written(volume, log, count, size=700):
    """Elements that were acknowledged."""
    chance, there = random.Random(count), []
    for _ in range(count):
        data = chance.randbytes(size)
        entry = push(volume, log, data)
        settle(volume)
        if not entry.failure:
            there.append(data)
    return there


def failing(chance, probability, kinds=("write",), result=-5):
    return lambda kind, offset, length: result if kind in kinds and chance.random() < probability else None


@pytest.mark.parametrize("result", [-5, 256, -28], ids=["EIO", "short", "ENOSPC"])
def test_writes_that_fail_now_and_then(result):
    memory = device(segments=40)
    volume = mount(memory)
    log = volume.create(b"log")
    memory.fault = failing(random.Random(1), 0.2, result=result)
    there = written(volume, log, 60, 1500)
    memory.fault = None
    assert len(there) > 40 and volume.counters["errors"] > 5
    assert elements(volume, log) == there
    again = remounted(memory)
    assert elements(again, again.catalog.names[b"log"]) == there


def test_a_bad_block_is_gone_round():
    memory = device(segments=20)
    volume = mount(memory)
    log = volume.create(b"log")
    bad = layout.SEGMENTS + SEGMENT // 2  # in the first segment
    memory.fault = lambda kind, offset, length: -5 if kind == "write" and offset <= bad < offset + length else None
    there = written(volume, log, 40)
    assert len(there) == 40 and volume.catalog.bad == {0}
    again = remounted(memory)
    assert elements(again, again.catalog.names[b"log"]) == there and again.catalog.bad == {0}


def test_a_group_that_failed_and_is_there_all_the_same():
    """The device reports an error for what it has written: it is found twice, and read once."""
    memory = device(segments=20)
    volume = mount(memory)
    log = volume.create(b"log")
    there = written(volume, log, 3)
    plain = memory.finish

    def lying(kind, tag, offset, what, more):
        plain(kind, tag, offset, what, more)
        if kind == "write" and offset >= layout.SEGMENTS and offset < layout.SEGMENTS + SEGMENT:
            memory.ready[-1] = tag, -5

    memory.finish = lying
    there += written(volume, log, 5)
    assert len(there) == 8 and volume.segment == 1
    again = remounted(memory)
    assert elements(again, again.catalog.names[b"log"]) == there


def test_a_device_that_has_died():
    memory = device()
    volume = mount(memory)
    log = volume.create(b"log")
    there = written(volume, log, 5)
    memory.fault = failing(random.Random(1), 2)
    assert written(volume, log, 3) == []
    memory.fault = failing(random.Random(1), 2, ("read",))
    assert read(volume, log, 0) == (b"", "DEVICE")
    memory.fault = None
    assert elements(volume, log) == there


@pytest.mark.parametrize("late", [False, True])
def test_what_is_pushed_after_the_device_has_failed_is_found(late):
    """Where it goes is not where the last group before leads to. `late`: an older superblock is on its way."""
    memory = device(segments=30)
    volume = mount(memory)
    log = volume.create(b"log")
    there = written(volume, log, 5)
    if late:
        volume.checkpoint_due = True
        while not volume.super_flying:
            volume.work()
            volume.completed(memory.completion(), memory.result)
        push(volume, log, b"first")
        volume.work()
        memory.shuffle = lambda out: out.sort(key=lambda request: request[2] < layout.SEGMENTS)  # it is the last
    memory.fault = lambda kind, offset, length: -5 if kind == "write" and offset >= layout.SEGMENTS else None
    while late and memory.out:
        volume.completed(memory.completion(), memory.result)
        if not volume.flying:
            memory.fault = None
    assert late or written(volume, log, 3) == []
    memory.shuffle = memory.fault = None
    there += written(volume, log, 2)
    assert elements(volume, log) == there and len(there) == 7
    again = remounted(memory)
    assert elements(again, again.catalog.names[b"log"]) == there
    assert not volume.catalog.bad


def test_a_superblock_that_can_not_be_written():
    """The other copy stays; appends go on; nothing is set free meanwhile."""
    memory = device(segments=9)
    volume = mount(memory)
    log = volume.create(b"log")
    there = written(volume, log, 5)
    memory.fault = lambda kind, offset, length: -5 if kind == "write" and offset < layout.SEGMENTS else None
    there += written(volume, log, 40)
    assert len(there) == 45
    again = remounted(memory)
    assert elements(again, again.catalog.names[b"log"]) == there


def test_payload_that_has_changed_on_the_device_is_not_handed_out():
    memory = device()
    volume = mount(memory)
    log = volume.create(b"log")
    settle(volume)
    push(volume, log, b"x" * 600)
    settle(volume)
    at = memory.image.index(b"x" * 600)
    memory.image[at + 300] ^= 1
    assert read(volume, log, 0) == (b"", "DEVICE")


@pytest.mark.parametrize("spoilt", range(4))
def test_damage_is_said(spoilt):
    memory = device()
    volume = mount(memory)
    written(volume, volume.create(b"log"), 3)
    if spoilt == 0:  # both superblocks
        memory.image[100] ^= 1
        memory.image[layout.COPIES + 100] ^= 1
    elif spoilt == 1:  # the checkpoint
        memory.image[layout.SEGMENTS + 70] ^= 1
    elif spoilt == 2:  # another version
        from libos.log.scan import Superblock

        volume.superblock.sequence += 2
        text = bytearray(Superblock.packed(volume.superblock))
        text[8] = 9
        from libos.log.checksum_table import crc32c
        from libos.sgarray import address_of

        text[508:] = crc32c(address_of(memoryview(text)), 508, 0).to_bytes(4, "little")
        memory.image[: len(text)] = text
    else:  # a smaller device
        del memory.image[layout.SEGMENTS + 5 * SEGMENT :]
    with pytest.raises(ValueError, match="format|not there|first 8 KiB|another device"):
        remounted(memory)


def test_full_device():
    """Pushes fail once nothing can be collected; a truncation makes room again."""
    memory = device(segments=8)
    volume = mount(memory)
    log, other = volume.create(b"log"), volume.create(b"other")
    there = written(volume, log, 200, 1000)
    assert 40 < len(there) < 120
    entry = push(volume, other, bytes(1000))
    settle(volume)
    assert entry.failure == "NO_SPACE"
    assert elements(volume, log) == there
    volume.truncate(log, 1000 * (len(there) - 10))
    settle(volume)
    more = written(volume, log, 20, 1000)
    assert len(more) == 20
    again = remounted(memory)
    assert elements(again, again.catalog.names[b"log"]) == there[-10:] + more


def test_living_bytes_are_moved():
    """A log that stays, in small pieces between those of one that is truncated: its segments are emptied."""
    memory = device(segments=10)
    volume = mount(memory)
    kept, passing = volume.create(b"kept"), volume.create(b"passing")
    chance, want = random.Random(1), []
    for i in range(400):
        if i < 60:
            want.append(chance.randbytes(100))
            push(volume, kept, want[-1])
        entry = push(volume, passing, chance.randbytes(900))
        settle(volume)
        assert not entry.failure, i
        if passing.end - passing.head > 20000:
            volume.truncate(passing, passing.end - 9000)
    assert volume.counters["moved"] > 20
    assert elements(volume, kept) == want
    again = remounted(memory)
    assert elements(again, again.catalog.names[b"kept"]) == want


def test_completions_in_another_order():
    memory = device(segments=20)
    chance = random.Random(1)
    memory.shuffle = chance.shuffle
    volume = mount(memory)
    log = volume.create(b"log")
    there = written(volume, log, 80)
    readings = [volume.readings.begin(log, 700 * i) for i in range(len(there))]
    settle(volume)
    assert all(reading.done and not reading.failure for reading in readings)
    for reading in readings:
        volume.heap.free(reading.memory)
    assert elements(volume, log) == there


def test_one_write_for_a_group():
    """What is pushed while a group is on its way goes out together, with one durable write."""
    memory = device(recorded=True)
    volume = mount(memory)
    log = volume.create(b"log")
    settle(volume)
    before = len(memory.record)
    for i in range(10):
        push(volume, log, bytes([i]) * 40)
    settle(volume)
    (one,) = memory.record[before:]
    assert one.durable and len(one.data) == 1024


@pytest.mark.parametrize("options,flushes", [({}, 0), ({"fua": False}, 1), ({"fua": False, "write_through": True}, 0)])
def test_flush_as_the_device_needs(options, flushes):
    """A push is complete after a durable write or a flush, and never before."""
    memory = device(**options)
    volume = mount(memory)
    log = volume.create(b"log")
    settle(volume)
    before = memory.flushes
    entry = push(volume, log, b"x")
    volume.work()
    assert not entry.done
    settle(volume)
    assert entry.done and memory.flushes == before + flushes


def test_recovery_reads_the_tail_alone():
    """Ten times the data, and no more read; neither does a larger device."""
    reads = []
    for segments, count in ((30, 20), (30, 200), (120, 200)):
        memory = device(segments=segments)
        volume = mount(memory)
        written(volume, volume.create(b"log"), count)
        left = MemoryDevice(image=bytearray(memory.image))
        read_bytes = []
        left.fault = lambda kind, offset, length, to=read_bytes: to.append(length) if kind == "read" else None
        mount(left, settled=False)
        reads.append(sum(read_bytes))
    assert max(reads) <= 8192 + 4 * SEGMENT, reads
