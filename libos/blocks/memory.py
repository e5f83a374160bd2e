"""A block device of memory: faults, and a record of what was written, from which a power cut can be played.

It finishes one request whenever it is asked for a completion; `hold` keeps them, `shuffle` puts them in another order.
"""

import struct
from ctypes import memmove, string_at

from libos.blocks.block_device import BlockDevice

SECTOR = 512  # what a power cut leaves whole


class Written:
    """One write of the record: `offset`, `data`; `begun` and `finished`: positions among the events, None until then;
    `durable`: position from which on no power cut takes it back.
    """

    def __init__(self, offset, data, begun):
        self.offset = offset
        self.data = data
        self.begun = begun
        self.finished = self.durable = None


class MemoryDevice(BlockDevice):
    """`image`: a bytearray that begins as zeros, or what another device has left. `record`: writes, in their order, and
    `events`: how many requests have begun or finished so far. `fault(kind, offset, length)` is called for each request
    that finishes, and may return another result for it (kind: "write", "read", "flush").
    """

    def __init__(self, size=0, image=None, block=512, fua=True, write_through=False, recorded=False):
        self.image = bytearray(size) if image is None else image
        BlockDevice.__init__(self, len(self.image), block, block, 64, fua, write_through)
        self.out = []
        self.ready = []
        self.recorded = recorded
        self.record = []
        self.events = 0
        self.flushes = 0
        self.fault = None
        self.hold = False
        self.shuffle = None

    def write(self, tag, offset, vector, count, durable):
        pieces = list(struct.iter_unpack("<QQ", string_at(vector, 16 * count)))
        for address, length in pieces:
            assert address % self.align == 0 and length % self.block == 0, (address, length)
        data = b"".join(string_at(address, length) for address, length in pieces)
        assert offset % self.block == 0 and offset + len(data) <= self.size
        self.events += 1
        written = Written(offset, data, self.events)
        if self.recorded:
            self.record.append(written)
        self.out.append(("write", tag, offset, written, durable or self.write_through))
        return True

    def read(self, tag, offset, address, length):
        assert offset % self.block == 0 and length % self.block == 0 and address % self.align == 0
        self.out.append(("read", tag, offset, address, length))
        return True

    def flush(self, tag):
        self.out.append(("flush", tag, 0, None, False))
        return True

    def completion(self):
        if self.out and not self.hold:
            if self.shuffle:
                self.shuffle(self.out)
            self.finish(*self.out.pop(0))
        if not self.ready:
            return 0
        tag, self.result = self.ready.pop(0)
        return tag

    def finish(self, kind, tag, offset, what, more):
        self.events += 1
        length = len(what.data) if kind == "write" else more if kind == "read" else 0
        result = self.fault(kind, offset, length) if self.fault else None
        if result is None:
            result = length
            if kind == "write":
                self.image[offset : offset + length] = what.data
                what.finished = self.events
                if more:
                    what.durable = self.events
            elif kind == "read":
                memmove(what, bytes(self.image[offset : offset + length]), length)
            else:
                self.flushes += 1
                for written in self.record:
                    if written.finished and not written.durable:
                        written.durable = self.events
        self.ready.append((tag, result))


def after_power_cut(blank, record, event, survives):
    """The image of a device that lost power after `event` events: durable writes are there, of the others each sector
    for which `survives(written, sector number)` says so.
    """
    image = bytearray(blank)
    for written in record:
        if written.begun > event:
            break
        if written.durable is not None and written.durable <= event:
            image[written.offset : written.offset + len(written.data)] = written.data
            continue
        for i in range(0, len(written.data), SECTOR):
            if survives(written, i // SECTOR):
                image[written.offset + i : written.offset + i + SECTOR] = written.data[i : i + SECTOR]
    return image
