"""Names that go and change, ends that move, reads across elements; volumes of the format before these were there."""

import base64
import random
import struct
import zlib
from ctypes import string_at

import pytest
from volumes import SEGMENT, Payload, device, elements, mount, push, settle

from libos.blocks.memory import MemoryDevice
from libos.log import checksum_table, layout

# as version 1 wrote it: logs "first", 300 bytes each of A to L, truncated to 1500 on, and "second/log"
VERSION_1 = (
    "c-rmSPe_w-9LMozoBQWB%T5u5VQ3&$WO@n;wY4;f5R0PARx5K<;_@JL$V#N5NIG-~1MQF=^;VQcAOzK+g3v>FsE~>RLx|`gJ=5pce*0~;-!2>C`vpH99-cir{65d`&-dYJtZ!>;"
    "4F<Q_43ph3=4Kw>={Z!p##n7EaxEPamloNKR9*wiRdhCfgI)jt004lMp;5E`xBcUO8(p|;eI4DfgI)jt004j$QvXM~Lr-pgh}bgJ^@$d?j(^_^C|t_9-)v_hrR&1HA6Pc|SCmyWs"
    "NZ*p{Ckb1Z$DD<w<qtnD;Yb@c3^ntwO;AE^mC)wY_tB6UstU2lO6GM-RAM!iQ}DTqgzjRwv$P|^N)>}c^y(-S@SPSpC^QB^Q3P6;y|x-UCzJ8Yy%tTj*VG2)k9mNzalxyo_`>=zf"
    "VN!(3$^T>G@aNr2HS&pAz$b1GI^Z^F97UUCm#d)_IXm{+{&w58I{uFD&d5`8Psaq4Mv({JY5|t>0Pa|Kjxg`y9#qCy#C(ROkO1Y5sS=2)+{Y|88hY^j9=z+4FzCY5Klf+0XxX{QJ"
    "}MA1jjbzkBPY82>?N6B*}w{6Fgd<`h%9TPOdL^!(pDrTnK_w~PGuKwF{mpPZPl6W{TBl)6sM-<GBRKX119k+;KPWj`tY&#BZ49(QUTn0CQ#tvB*bVou9kG)Cn|j|wk){+;EqL9wKJ"
    "mAusT-=@_6V*HD^7RP_-_o%x5N2T?@;%WS#SpP%NmgukcoMq3y_2Z9_PkKL-b^K?j|7$(T{HH#z?GodEFSLn_^F99Ek#|*MOXt(cKSTW=_DcD08L1TcH$hvW@(*-Ov;?I0_wsw&A!"
    "`j!$zQ7f9m@Vs7*d{(>&4RZ5pACtQr3st()zH_^KAUJwLUaMTcW>WIb#pB()WLtes=bWk}jY#|7WQGANZv4eQ)}znE&@dn;66S&VRIg{hL+Rd5KQ`8S4K}{$&1@{k|%Ze+#q~B7Xn"
    "?000000000000000000000000008n^;01!zIT>"
)


def version_1():
    return MemoryDevice(image=bytearray(zlib.decompress(base64.b85decode(VERSION_1))), recorded=True)


def versions(image):
    return [struct.unpack_from("<I", image, at + 8)[0] for at in (0, layout.COPIES)]


def remounted(volume):
    """The same in another process, if this one were killed now."""
    memory = volume.device
    return mount(MemoryDevice(image=bytearray(memory.image), block=memory.block))


def contents(volume):
    return {name: b"".join(elements(volume, log)) for name, log in volume.catalog.names.items()}


def span(volume, log, offset, length):
    """(bytes, failure) of a read by place."""
    reading = volume.readings.span(log, offset, length)
    settle(volume)
    assert reading.done
    if reading.failure:
        return b"", reading.failure
    found = string_at(reading.address, reading.length)
    volume.heap.free(reading.memory)
    return found, None


# --- the format before ---


def marked(memory, version):
    """The same device, whose superblocks say another version."""
    for at in (0, layout.COPIES):
        struct.pack_into("<I", memory.image, at + 8, version)
        text = Payload(bytes(memory.image[at : at + 508]))
        struct.pack_into("<I", memory.image, at + 508, checksum_table.crc32c(text.address, 508, 0))
    return memory


# what version 1 wrote is right in version 2
@pytest.mark.parametrize("memory", [version_1(), marked(version_1(), 2)], ids=["1", "2"])
def test_a_volume_of_an_earlier_version_is_opened_and_goes_on_as_version_3(memory):
    before = versions(memory.image)
    assert before in ([1, 1], [2, 2])
    volume = mount(memory, segment=4096)
    whole = b"".join(bytes([65 + i]) * 300 for i in range(12))
    there = {b"first": whole[1500:], b"second/log": b"".join(bytes([97 + i]) * 50 for i in (0, 3, 6, 9))}
    assert contents(volume) == there and 3 in versions(memory.image)
    volume.rename(volume.names[b"first"], b"third")
    volume.unlink(volume.names[b"second/log"])
    settle(volume)
    assert contents(remounted(volume)) == {b"third": whole[1500:]}


def test_an_older_reader_never_finds_what_it_can_not_read():
    """Whatever the moment: as long as a new kind of record may be there, the newer superblock says version 3."""
    memory = version_1()
    volume = mount(memory, segment=4096, settled=False)
    memory.record.clear()
    volume.unlink(volume.names[b"first"])
    settle(volume)
    kinds = [
        None if written.offset < layout.SEGMENTS else struct.unpack_from("<I", written.data, layout.HEADER)[0]
        for written in memory.record
    ]
    assert kinds[:3] == [layout.CHECKPOINT, None, layout.UNLINK]
    assert memory.record[1].durable < memory.record[2].begun and memory.record[1].data[8] == 3


def test_a_later_version_is_refused():
    with pytest.raises(ValueError, match="format 4 of Cattree"):
        mount(marked(version_1(), 4), segment=4096)


# --- names ---


def test_a_log_without_a_name_is_there_until_it_is_closed():
    memory = device(segments=8)
    volume = mount(memory)
    log = volume.create(b"log")
    volume.hold(log)
    push(volume, log, b"x" * 5000)
    settle(volume)
    volume.unlink(log)
    push(volume, log, b"y" * 100)
    settle(volume)
    assert b"".join(elements(volume, log)) == b"x" * 5000 + b"y" * 100
    assert contents(remounted(volume)) == {} and sum(remounted(volume).catalog.used) == 0
    again = volume.create(b"log")
    push(volume, again, b"new")
    settle(volume)
    assert contents(volume) == contents(remounted(volume)) == {b"log": b"new"}
    volume.let_go(log)
    settle(volume)
    assert sum(volume.catalog.used) == 3 and list(volume.catalog.logs.values()) == [again]
    assert push(volume, log, b"late").failure == "INVALID"


def test_what_waits_for_a_log_that_goes_is_given_up():
    volume = mount(device())
    log = volume.create(b"log")
    settle(volume)
    volume.unlink(log)
    volume.work()  # that it is unlinked is on its way
    entry = push(volume, log, b"x")
    settle(volume)
    assert entry.failure == "CANCELED" and not volume.catalog.logs


def test_a_name_that_is_taken_changes_hands():
    volume = mount(device())
    old, new = volume.create(b"aof"), volume.create(b"temp")
    push(volume, old, b"old")
    push(volume, new, b"new")
    settle(volume)
    volume.rename(new, b"aof")
    assert volume.names == {b"aof": new} and volume.names.of(new) == b"aof"
    settle(volume)
    assert contents(volume) == contents(remounted(volume)) == {b"aof": b"new"}
    assert list(volume.catalog.logs.values()) == [new]
    volume.rename(new, b"aof")
    settle(volume)
    assert contents(volume) == contents(remounted(volume)) == {b"aof": b"new"}


def test_space_of_logs_that_come_and_go():
    """Ten times what fits, in logs that are replaced by renaming."""
    volume = mount(device(segments=10))
    for i in range(120):
        log = volume.create(b"temp")
        for _ in range(3):
            assert not push(volume, log, bytes([i]) * 4000).failure
        volume.rename(log, b"log")
        settle(volume)
        assert volume.names == {b"log": log}
    assert contents(volume) == contents(remounted(volume)) == {b"log": bytes([119]) * 12000}


def test_names_stay_as_they_were_when_the_device_fails():
    memory = device(segments=40)
    volume = mount(memory)
    log, other = volume.create(b"log"), volume.create(b"other")
    settle(volume)
    memory.fault = lambda kind, offset, length: -5 if kind == "write" else None
    entries = [volume.rename(log, b"other"), volume.unlink(other)]
    late = volume.create(b"late")
    settle(volume)
    assert [entry.failure for entry in entries] == ["DEVICE", "DEVICE"]
    assert volume.names == volume.catalog.names == {b"log": log, b"other": other}
    memory.fault = None
    assert push(volume, late, b"x").failure == "INVALID"
    push(volume, log, b"y")
    settle(volume)
    assert contents(remounted(volume)) == {b"log": b"y", b"other": b""}


# --- ends ---


def test_a_torn_tail_is_cut_and_written_again():
    """In the midst of an element, at once and after a restart, as often as you like."""
    volume = mount(device(segments=30))
    log, want = volume.create(b"log"), b""
    chance = random.Random(1)
    for i in range(60):
        data = chance.randbytes(chance.choice((10, 700, 5000)))
        push(volume, log, data)
        settle(volume)
        want += data
        if i % 3 == 0:
            want = want[: len(want) - chance.randrange(1, 900)]
            volume.resize(log, len(want))
            settle(volume)
        if i % 7 == 0:
            volume = remounted(volume)
            log = volume.names[b"log"]
        assert log.end == len(want)
        if i % 10 == 0:
            assert contents(volume) == contents(remounted(volume)) == {b"log": want}
            volume.resize(log, 20000)
            want = want[:20000].ljust(20000, b"\0")
            settle(volume)
    assert span(volume, log, 0, 1 << 20) == (want, None)


def test_a_hole_takes_no_room():
    volume = mount(device())
    log = volume.create(b"log")
    push(volume, log, b"begin")
    settle(volume)
    volume.resize(log, 1 << 40)
    settle(volume)
    push(volume, log, b"end")
    settle(volume)
    for one in (volume, remounted(volume)):
        log = one.names[b"log"]
        assert log.end == (1 << 40) + 3 and sum(one.catalog.used) == 8
        assert span(one, log, 3, 5) == (b"in\0\0\0", None)
        assert span(one, log, (1 << 40) - 70001, 80000) == (bytes(70001) + b"end", None)
        one.truncate(log, (1 << 40) - 2)
        settle(one)
        assert contents(one) == {b"log": b"\0\0end"}


def test_what_is_moved_while_its_log_is_cut_or_emptied():
    """The device reads the segment that is being emptied: what lives there is asked for afterwards."""
    for change in (lambda v, log: v.reset(log), lambda v, log: v.resize(log, 100), lambda v, log: v.unlink(log)):
        memory = device(segments=8)
        volume = mount(memory)
        kept, passing = volume.create(b"kept"), volume.create(b"passing")
        for i in range(20):
            push(volume, kept, bytes([i]) * 100)
            push(volume, passing, bytes(700))
            settle(volume)
        volume.truncate(passing, passing.end)
        settle(volume)
        assert volume.space.collect(4) and volume.space.victim == 0
        change(volume, kept)
        volume.work()
        assert [request[0] for request in memory.out] == ["read", "write"]
        settle(volume)
        if kept.number in volume.catalog.logs:
            push(volume, kept, b"more")
            settle(volume)
        assert contents(volume) == contents(remounted(volume))


# --- reads by place ---


@pytest.mark.parametrize("block", [512, 4096])
def test_reads_across_elements(block):
    chance = random.Random(block)
    memory = device(segments=150, block=block)
    volume = mount(memory)
    log, other, want = volume.create(b"log"), volume.create(b"other"), b""
    for _ in range(150):
        data = chance.randbytes(chance.choice((3, 60, 900, 4096, 5000)))
        push(volume, log, data, chance.random() < 0.5)
        push(volume, other, bytes(chance.choice((1, 2000))))
        if chance.random() < 0.5:
            settle(volume)
        want += data
    settle(volume)
    for one in (volume, remounted(volume)):
        log = one.names[b"log"]
        for _ in range(60):
            offset, length = chance.randrange(len(want)), chance.choice((1, 50, 5000, 100000))
            assert span(one, log, offset, length) == (want[offset : offset + length], None)
        assert span(one, log, 0, len(want)) == (want, None)
        assert span(one, log, len(want), 10) == (b"", None)
        one.truncate(log, 1000)
        assert span(one, log, 999, 10) == (b"", "INVALID")


def test_neighbours_are_read_together():
    memory = device(segments=60)
    volume = mount(memory)
    log = volume.create(b"log")
    for i in range(100):
        push(volume, log, bytes([i]) * 100)
    settle(volume)
    reads = []
    memory.fault = lambda kind, offset, length: reads.append(length) if kind == "read" else None
    assert span(volume, log, 50, 9900)[0] == b"".join(bytes([i]) * 100 for i in range(100))[50:9950]
    assert len(reads) == 1 and reads[0] < SEGMENT


def test_bytes_that_have_changed_are_not_handed_out():
    memory = device()
    volume = mount(memory)
    log = volume.create(b"log")
    for letter in (b"a", b"b", b"c"):
        push(volume, log, letter * 600)
        settle(volume)
    at = memory.image.index(b"b" * 600)
    memory.image[at + 5] ^= 1
    assert span(volume, log, 0, 1800) == (b"", "DEVICE") and span(volume, log, 0, 600) == (b"a" * 600, None)
    memory.fault = lambda kind, offset, length: -5 if kind == "read" else None
    assert span(volume, log, 0, 600) == (b"", "DEVICE")
