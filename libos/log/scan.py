"""Reading what is on the device: superblocks, groups, the directory. Nothing there is trusted before it is checked.

A region of the device is handed over as the address of a copy in memory.
"""

import struct
from ctypes import string_at

from libos import raw
from libos.log import checksum, layout

MAGIC = b"CATTREE1"
SUPER = struct.Struct("<8sIIQQQQQQQ")
DIRECTORY = struct.Struct("<III")
LOG = struct.Struct("<IIIQQ")
EXTENT = struct.Struct("<IQQ")
END = struct.Struct("<II")


class Found:
    """A valid group: `segment` and `offset`, `size` in bytes, `records`: (kind, log, offset, length, crc, place)."""

    def __init__(self, segment, offset, sequence, previous, following, size, records):
        self.segment = segment
        self.offset = offset
        self.sequence = sequence
        self.previous = previous
        self.following = following
        self.size = size
        self.records = records


def group_at(address, room, volume, block, segment, offset, payloads=True):
    """The group that begins at `address`, of which `room` bytes are there; None when there is no valid one.

    `payloads`: whether their checksums are looked at too.
    """
    if (
        room < layout.HEADER
        or raw.load32(address) != layout.GROUP_MAGIC
        or raw.load(address + layout.G_VOLUME) != volume
    ):
        return None
    head, count = raw.load32(address + layout.G_HEAD), raw.load32(address + layout.G_COUNT)
    size = raw.load32(address + layout.G_BLOCKS) * block
    if head != layout.HEADER + count * layout.RECORD or head > size or size > room:
        return None
    if raw.load32(address + layout.G_SEGMENT) != segment or raw.load32(address + layout.G_OFFSET) != offset:
        return None
    if raw.load32(address + layout.G_CRC) != checksum.crc32c(address + 8, head - 8, volume & 0xFFFFFFFF):
        return None
    records = []
    at = address + layout.HEADER
    for _ in range(count):
        length, crc, place = (
            raw.load32(at + layout.R_LENGTH),
            raw.load32(at + layout.R_CRC),
            raw.load32(at + layout.R_PLACE),
        )
        if place < head or place + length > size:
            return None
        if payloads and checksum.crc32c(address + place, length, 0) != crc:
            return None
        records.append(
            (raw.load32(at), raw.load32(at + layout.R_LOG), raw.load(at + layout.R_OFFSET), length, crc, place)
        )
        at += layout.RECORD
    sequence, previous = raw.load(address + layout.G_SEQUENCE), raw.load(address + layout.G_PREVIOUS)
    return Found(segment, offset, sequence, previous, raw.load32(address + layout.G_NEXT), size, records)


class Superblock:
    """`block` of the format, `volume`, `segment` size, `segments`, `sequence`; the checkpoint: `at` = (segment, offset,
    sequence of its group). `version`: that of the copy which was read.
    """

    def __init__(self, block, volume, segment, segments, sequence=0, at=(0, 0, 0), version=layout.VERSION):
        self.block = block
        self.volume = volume
        self.segment = segment
        self.segments = segments
        self.sequence = sequence
        self.at = at
        self.version = version

    def packed(self):
        """SUPERBLOCK bytes."""
        text = SUPER.pack(
            MAGIC,
            layout.VERSION,
            self.block,
            self.volume,
            self.segment,
            self.segments,
            self.sequence,
            *self.at,
        ).ljust(layout.SUPERBLOCK - 4, b"\0")
        return text + struct.pack("<I", checksum.crc32c(raw.view_at(memoryview(text)), len(text), 0))


def superblock_at(address):
    """The superblock at `address`, None when there is no valid one. Raises ValueError for another version."""
    text = string_at(address, layout.SUPERBLOCK)
    (crc,) = struct.unpack_from("<I", text, layout.SUPERBLOCK - 4)
    if text[:8] != MAGIC or crc != checksum.crc32c(address, layout.SUPERBLOCK - 4, 0):
        return None
    _, version, block, volume, segment, segments, sequence, *at = SUPER.unpack_from(text)
    if version not in layout.VERSIONS:
        raise ValueError(f"the device is in format {version} of Cattree; this is {layout.VERSION}")
    return Superblock(block, volume, segment, segments, sequence, tuple(at), version)


def packed(next_number, bad, logs, ends):
    """The directory as a payload. `logs`: each as `packed_log` has it; `ends`: (segment, where its groups end)."""
    logs = list(logs)
    parts = [DIRECTORY.pack(next_number, len(bad), len(logs)), *(struct.pack("<I", segment) for segment in sorted(bad))]
    parts += logs
    parts.append(struct.pack("<I", len(ends)))
    parts += [END.pack(*one) for one in ends]
    return b"".join(parts)


def packed_log(number, name, head, end, extents):
    """What the directory has of a log; an extent is (segment, first, end)."""
    fixed = LOG.pack(number, len(name), len(extents), head, end)
    return b"".join([fixed, name, *(EXTENT.pack(*extent) for extent in extents)])


def directory(text):
    """The reverse of `packed`."""
    next_number, bad_count, log_count = DIRECTORY.unpack_from(text)
    at = DIRECTORY.size
    bad = struct.unpack_from(f"<{bad_count}I", text, at)
    at += 4 * bad_count
    logs = []
    for _ in range(log_count):
        number, name_length, extent_count, head, end = LOG.unpack_from(text, at)
        at += LOG.size
        name = text[at : at + name_length]
        at += name_length
        extents = [EXTENT.unpack_from(text, at + i * EXTENT.size) for i in range(extent_count)]
        at += extent_count * EXTENT.size
        logs.append((number, name, head, end, extents))
    ends = {}
    if at < len(text):  # version 1 has none
        (count,) = struct.unpack_from("<I", text, at)
        ends = dict(END.unpack_from(text, at + 4 + i * END.size) for i in range(count))
    return next_number, set(bad), logs, ends
