"""Capture files, written and read: against other readers, against a struct of our own, and cut off anywhere."""

import os
import shutil
import struct
import subprocess

import pytest
from frame_host import Host, closing, unique
from hypothesis import given
from hypothesis import strategies as st

from libos.devices.capture import Capture
from libos.devices.capture_file import PcapngWriter, PcapWriter, read
from libos.devices.pcap_file import PcapFile
from libos.devices.segment import Segment
from libos.errors import Fail
from libos.runtime.clock import FakeClock

DAY = 1_700_000_000_123_456_789
PING = bytes.fromhex(
    "020000000002 020000000001 0800 4500001c0001000040016edb0a0000010a000002 0800f7fd00010001"
)  # 10.0.0.1 > 10.0.0.2, echo request
times = st.integers(0, (1 << 62) - 1)
frames = st.lists(st.tuples(times, st.binary(min_size=0, max_size=200), st.sampled_from([0, 1, 2])), max_size=8)


@pytest.mark.parametrize("writer", [PcapWriter, PcapngWriter])
@given(frames)
def test_what_is_written_is_read(tmp_path_factory, writer, found):
    path = tmp_path_factory.mktemp("captures") / "file"
    if writer is PcapWriter:
        found = [(time % (1 << 32) * 1_000_000_000 + time % 1_000_000_000, f, d) for time, f, d in found]
    made = writer(path)
    for time, frame, direction in found:
        made.write(time, frame, direction)
    made.close()
    assert list(read(path)) == [(time, frame) for time, frame, _ in found]
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("writer", [PcapWriter, PcapngWriter])
def test_a_file_that_was_cut_off_gives_what_is_whole(tmp_path, writer):
    path = tmp_path / "whole"
    made = writer(path)
    for i in range(3):
        made.write(i, PING + bytes([i]))
    made.close()
    text, found = path.read_bytes(), set()
    for size in range(len(text)):
        (tmp_path / "cut").write_bytes(text[:size])
        try:
            got = list(read(tmp_path / "cut"))
        except Fail:
            got = []
        assert got == [(i, PING + bytes([i])) for i in range(len(got))]
        found.add(len(got))
    assert found == {0, 1, 2}


@given(st.binary(max_size=120), st.sampled_from([b"", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a"]))
def test_whatever_a_file_holds_reading_ends(tmp_path_factory, rest, magic):
    path = tmp_path_factory.mktemp("garbage") / "file"
    path.write_bytes(magic + rest)
    try:
        for time, frame in read(path):
            assert time >= 0 and isinstance(frame, bytes)
    except Fail:
        pass


@pytest.mark.parametrize("order", "<>")
def test_files_of_other_machines(tmp_path, order):
    """Both byte orders, microseconds, an interface that is no Ethernet, options, a simple packet."""
    path = tmp_path / "pcap"
    head = struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    path.write_bytes(head + struct.pack(order + "IIII", 5, 250, len(PING), len(PING)) + PING)
    assert list(read(path)) == [(5_000_250_000, PING)]

    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

    def packet(which, ticks):
        return block(6, struct.pack(order + "IIIII", which, 0, ticks, len(PING), len(PING)) + PING)

    resolution = struct.pack(order + "HHB3x", 9, 1, 3)  # milliseconds
    path.write_bytes(
        block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        + block(1, struct.pack(order + "HHI", 1, 0, 0))
        + block(1, struct.pack(order + "HHI", 1, 0, 0) + resolution)
        + block(1, struct.pack(order + "HHI", 113, 0, 0))
        + block(4, bytes(12))
        + packet(0, 7)
        + packet(1, 7)
        + packet(2, 7)
        + block(3, struct.pack(order + "I", len(PING)) + PING)
    )
    assert list(read(path)) == [(7000, PING), (7_000_000, PING), (0, PING)]


@pytest.mark.parametrize("wrong", [b"", b"GIF89a", struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 113)])
def test_what_is_no_capture_of_frames_is_refused(tmp_path, wrong):
    (tmp_path / "file").write_bytes(wrong)
    with pytest.raises(Fail):
        list(read(tmp_path / "file"))


def captured(path):
    """A frame each way through a device that is captured."""
    name, clock = unique(), FakeClock(1000)
    device, other = Capture(Segment(name), path, clock, day=DAY), Host(Segment(name))
    host = Host(device)
    with closing(device, other.device):
        assert host.send(other.device.mac + device.mac + PING[12:])
        clock.advance(2_000)
        other.send(device.mac + other.device.mac + PING[12:])
        assert len(host.all()) == 1
    return device, other.device


def test_both_directions_are_captured_with_their_times(tmp_path):
    device, other = captured(tmp_path / "x.pcapng")
    out, back = other.mac + device.mac + PING[12:], device.mac + other.mac + PING[12:]
    assert list(read(tmp_path / "x.pcapng")) == [(DAY, out), (DAY + 2_000, back)]
    text = (tmp_path / "x.pcapng").read_bytes()
    flags = [text[i + 4] for i in range(0, len(text) - 8, 4) if text[i : i + 4] == b"\x02\0\x04\0"]
    assert flags == [2, 1]  # out, in


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")
@pytest.mark.parametrize("kind", ["pcapng", "pcap"])
def test_tcpdump_reads_what_we_write(tmp_path, kind):
    path = str(tmp_path / "x")
    if kind == "pcapng":
        captured(path)
    else:
        writer = PcapWriter(path)
        writer.write(DAY, PING)
        writer.write(DAY + 2_000, PING)
        writer.close()
    argv = ["tcpdump", "-nn", "-tt", "--nano", "-r", path]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all("10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1" in line for line in lines)
    assert lines[0].startswith("1700000000.123456789 ") and lines[1].startswith("1700000000.123458789 ")


def test_a_disk_that_is_full_ends_the_capture_not_the_traffic(tmp_path):
    name = unique()
    device, other = Capture(Segment(name), tmp_path / "x", FakeClock()), Host(Segment(name))
    with closing(device, other.device):
        device.writer.file.close()
        device.writer.file = open("/dev/full", "wb", buffering=0)
        assert Host(device).say(other, b"x") and other.heard() == [b"x"]
        assert device.failure.errno == 28  # ENOSPC


def test_a_paced_replay_keeps_the_distances(tmp_path):
    writer = PcapWriter(tmp_path / "in")
    for time in (DAY, DAY + 100, DAY + 100, DAY + 5_000):
        writer.write(time, PING)
    writer.close()
    clock = FakeClock(50)
    device = PcapFile(tmp_path / "in", tmp_path / "out", clock, paced=True)
    host = Host(device)
    with closing(device):
        assert not device.arm() and len(host.all()) == 1
        assert device.arm() and device.deadline(clock.now()) == 150
        clock.advance(100)
        assert len(host.all()) == 2 and device.deadline(clock.now()) == 5_050
        clock.advance(4_899)
        assert host.all() == []
        clock.advance(1)
        assert len(host.all()) == 1 and device.deadline(clock.now()) == -1
        host.send(PING)
    assert list(read(tmp_path / "out")) == [(5_050, PING)]


def test_frames_that_do_not_fit_are_passed_over(tmp_path):
    writer = PcapWriter(tmp_path / "in")
    for size in (1514, 1515, 13, 14):
        writer.write(0, bytes(size))
    writer.close()
    device = PcapFile(tmp_path / "in", None, FakeClock())
    with closing(device):
        assert [len(frame) for frame in Host(device).all()] == [1514, 14] and device.errors == 2
