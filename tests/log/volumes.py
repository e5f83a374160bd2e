"""A volume over memory, driven until nothing is left to do."""

import ctypes

from libos.blocks.memory import MemoryDevice
from libos.log import recovery
from libos.runtime.memory import Heap

SEGMENT = 16384
HEAP = Heap(4096)  # many volumes, of a few MiB each, that power cuts leave behind
IDENTITY = 0x1234_5678_9ABC_DEF0


def mount(device, segment=SEGMENT, heap=HEAP, settled=True):
    """The volume of a device. Raises ValueError."""
    steps = recovery.opened(device, heap, IDENTITY, segment)
    result = None
    while True:
        try:
            offset, address, length = steps.send(result)
        except StopIteration as end:
            if settled:
                settle(end.value)
            return end.value
        device.read(1, offset, address, length)
        device.submit()
        assert device.completion() == 1
        result = device.result


def settle(volume):
    """Until nothing waits. Returns what has happened."""
    events = []
    for _ in range(20000):
        volume.work()
        volume.device.submit()
        tag = volume.device.completion()
        if tag:
            volume.completed(tag, volume.device.result)
        events += volume.events
        volume.events.clear()
        if not tag and volume.idle and not volume.readings.out:
            return events
    raise AssertionError("the volume does not come to rest")


class Payload:
    """Bytes at an address, aligned or not, as long as this lives."""

    def __init__(self, data, aligned=False):
        self.room = ctypes.create_string_buffer(len(data) + 8192)
        at = ctypes.addressof(self.room)
        self.address = (at + 4095) // 4096 * 4096 + (0 if aligned else 8)
        self.length = len(data)
        ctypes.memmove(self.address, data, len(data))


def push(volume, log, data, aligned=False):
    payload = Payload(data, aligned)
    return volume.append(log, payload.address, payload.length, payload)


def read(volume, log, offset):
    """(bytes, failure) of the element there."""
    reading = volume.readings.begin(log, offset)
    settle(volume)
    assert reading.done
    if reading.failure:
        return b"", reading.failure
    data = ctypes.string_at(reading.address, reading.length)
    volume.heap.free(reading.memory)
    return data, None


def elements(volume, log):
    """Every element of a log from its head on."""
    found, at = [], log.head
    while at < log.end:
        data, failure = read(volume, log, at)
        assert not failure, failure
        found.append(data)
        at += len(data)
    return found


def device(segments=12, block=512, segment=SEGMENT, **options):
    return MemoryDevice(8192 + segments * segment, block=block, **options)
