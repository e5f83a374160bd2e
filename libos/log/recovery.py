"""From a device to a volume: a new one, or what a power cut has left.

Generators: each yields (offset, address, length), a read that is to be done, and is sent its result.
"""

from collections import deque
from ctypes import string_at

from libos.log import layout, scan
from libos.log.catalog import Catalog
from libos.log.space import blank
from libos.log.volume import Volume

COMPILED = __file__.endswith(".so")
FEWEST = 6  # segments of a device


def opened(device, heap, identity, segment=layout.SEGMENT):
    """The Volume of a device. One that begins with zeros becomes a volume named `identity`, a random 64-bit number, of
    segments of `segment` bytes (at most 1 MiB, the largest heap object). Raises ValueError for something else, and for
    what is damaged.
    """
    memory = heap.alloc(layout.SEGMENT)
    if not memory:
        raise MemoryError("no heap for a recovery")
    try:
        result = yield 0, memory, layout.SEGMENTS
        if result != layout.SEGMENTS:
            raise ValueError("the device can't be read")
        found = [scan.superblock_at(memory), scan.superblock_at(memory + layout.COPIES)]
        found = [superblock for superblock in found if superblock]
        if found:
            superblock = max(found, key=lambda one: one.sequence)
            return (yield from recovered(device, heap, superblock, memory))
        if not blank(memory):
            raise ValueError("the device holds something else than a volume of Cattree: its first 8 KiB are not zeros")
        segments = (device.size - layout.SEGMENTS) // segment
        if segments < FEWEST:
            raise ValueError(f"the device is too small: {device.size} bytes, {FEWEST} segments of {segment} are needed")
        return Volume(device, heap, scan.Superblock(device.block, identity, segment, segments))
    finally:
        heap.free(memory)


def recovered(device, heap, superblock, memory):
    block, size, segments = superblock.block, superblock.segment, superblock.segments
    if block % device.block or size > layout.SEGMENT or layout.SEGMENTS + segments * size > device.size:
        raise ValueError("the volume was made for another device: blocks or size differ")
    catalog = Catalog(segments)
    segment, offset, sequence = superblock.at
    tail = {segment}
    previous = 0
    first = True
    following = layout.NONE
    while True:
        # what can't be read was being written when the power went: the end, as what is torn
        result = yield layout.SEGMENTS + segment * size, memory, size
        while result == size and offset < size:
            group = scan.group_at(memory + offset, size - offset, superblock.volume, block, segment, offset)
            if group is None or not (first or (group.sequence > sequence and group.previous <= sequence)):
                break
            if first:
                begin(catalog, memory + offset, group, sequence)
            replay(catalog, memory + offset, group, int(first))
            first = False
            sequence = previous = group.sequence
            following = group.following
            offset += group.size
            catalog.ends[segment] = offset
        if first:
            raise ValueError("the checkpoint that the superblock names is not there")
        end = segment, offset
        if following in tail or following >= segments:
            break
        # the chain goes on in the next segment, or ends here
        result = yield layout.SEGMENTS + following * size, memory, size
        group = result == size and scan.group_at(memory, size, superblock.volume, block, following, 0)
        if not group or group.sequence <= sequence or group.previous > sequence:
            break
        segment, offset = following, 0
        tail.add(segment)
    for log in catalog.nameless():  # whoever had it open is gone
        catalog.drop(log)
    for log in catalog.logs.values():
        log.given = log.end
    busy = {*tail, following, *catalog.bad}
    free = deque(n for n, used in enumerate(catalog.used) if not used and n not in busy)
    # one sequence is left out: that of a group that was torn
    return Volume(device, heap, superblock, catalog, (*end, following), sequence + 1, previous, free)


def begin(catalog, address, group, sequence):
    """The checkpoint, which its group begins with."""
    if group.sequence != sequence or not group.records or group.records[0][0] != layout.CHECKPOINT:
        raise ValueError("the group that the superblock names is not its checkpoint")
    _, _, _, length, _, place = group.records[0]
    catalog.load(*scan.directory(string_at(address + place, length)))


def replay(catalog, address, group, first):
    """The records of a group, but for the `first` ones."""
    for kind, number, offset, length, crc, place in group.records[first:]:
        name = string_at(address + place, length) if kind == layout.NAME else None
        catalog.apply(kind, number, offset, length, crc, group.offset + place, group.segment, name)
