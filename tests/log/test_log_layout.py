"""Numbers and checksums are the same in both modes, and those of the document."""

import os
import re

from volumes import HEAP, Payload, device, mount, push, settle

from libos.log import checksum_table, group, layout

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_declared_numbers():
    with open(os.path.join(ROOT, "libos", "log", "layout.pxd")) as file:
        declared = dict(re.findall(r'int (\w+) "(\w+?)u?"', file.read()))
    assert len(declared) > 20
    assert {name: int(value, 0) for name, value in declared.items()} == {n: getattr(layout, n) for n in declared}


def test_checksums():
    """RFC 3720, B.4; and what the group writes, compiled or not, is what the table says."""
    for data, crc in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)):
        payload = Payload(data)
        assert checksum_table.crc32c(payload.address, payload.length, 0) == crc
        entry = group.Entry(layout.DATA, 1, 0, payload.address, payload.length)
        one = group.Group(HEAP, 512, 512, 7)
        one.fill([entry], 1)
        assert entry.crc == crc
        for address in one.memory():
            HEAP.free(address)


def test_the_document_is_what_is_written():
    """Each place that docs/cattree.md names holds what it says."""
    memory = device()
    volume = mount(memory)
    log = volume.create(b"log")
    settle(volume)
    push(volume, log, b"payload")
    settle(volume)
    image = memory.image

    def word(at, size):
        return int.from_bytes(image[at : at + size], "little")

    copy = layout.COPIES  # the first superblock is the second copy
    assert image[copy : copy + 8] == b"CATTREE1" and [word(copy + at, 4) for at in (8, 12)] == [3, 512]
    assert [word(copy + at, 8) for at in (16, 24, 32, 40)] == [volume.superblock.volume, 16384, 12, 1]
    assert [word(copy + at, 8) for at in (48, 56, 64)] == [0, 0, 1]
    at = layout.SEGMENTS + volume.offset - 512
    assert image[at : at + 4] == b"CatG"
    assert [word(at + n, 8) for n in (8, 16, 40)] == [volume.sequence, volume.sequence - 1, volume.superblock.volume]
    assert [word(at + n, 4) for n in (24, 28, 32, 36, 48, 52)] == [1, 1, 96, 1, 0, volume.offset - 512]
    at += 64
    assert [word(at + n, 4) for n in (0, 4, 16, 24, 28)] == [1, 1, 7, 96, 0] and word(at + 8, 8) == 0
    assert image[at + 32 : at + 39] == b"payload"
