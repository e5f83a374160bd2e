"""Headers as they lie on the wire: against the tests' own reader and writer, and against anything at all."""

import ctypes
import random
import struct

import frames
import pytest
from frames import Segment, ethernet, words
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libos.net import declared, octets, seq, structs
from libos.net.stack import Stack
from libos.net.wire import icmp_message, ip_header, tcp_header

MAC, PEER = 0x020000000001, 0x020000000002


def memory(data, size=0):
    return ctypes.create_string_buffer(data, max(len(data), size))


@pytest.fixture(scope="module")
def stack():
    stack = Stack(MAC, 1500, b"s" * 16, 1 << 26, 64)
    for address, prefix in (("10.0.0.1", 120), ("fd00::1", 64)):
        stack.host.add_address(*words(address), prefix)
    yield stack
    stack.host.close()


def feed(stack, frame):
    buffer = memory(frame)
    stack.receive(ctypes.addressof(buffer), len(frame), 10**9)
    stack.poll(10**9)
    return stack.host.out.contents()


@given(st.binary(max_size=200), st.integers(0, 0xFFFF))
def test_the_sum_is_that_of_rfc_1071(data, start):
    buffer = memory(data, 1)
    expected = frames.checksum(struct.pack(">H", start) + data) ^ 0xFFFF
    assert octets.sum(ctypes.addressof(buffer), len(data), start) % 0xFFFF == expected % 0xFFFF


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@example(0, 2**31)
@example(2**32 - 1, 0)
def test_sequence_numbers_wrap(a, b):
    assert seq.add(b, seq.diff(a, b)) == a
    assert seq.add(b, seq.gap(a, b)) == a
    assert seq.lt(a, b) == (-(2**31) <= seq.gap(a, b) < 0)
    if seq.gap(a, b) != -(2**31):
        assert seq.lt(a, b) == seq.gt(b, a)
        assert seq.le(a, b) != seq.gt(a, b)


def test_siphash_has_the_value_of_its_authors(stack):
    """Appendix A of the paper has 15 octets; the same key over six words is checked against a plain version here."""
    drawn = stack.host.random()
    words = struct.pack("<6Q", stack.host.drawn, 0, 0, 0, 0, 0)
    assert drawn == siphash(stack.host.key0, stack.host.key1, words)
    key = int.from_bytes(bytes(range(8)), "little"), int.from_bytes(bytes(range(8, 16)), "little")
    assert octets.hash(*key, 1, 2, 3, 4, 5, 6) == siphash(*key, struct.pack("<6Q", 1, 2, 3, 4, 5, 6))
    assert siphash(*key, bytes(range(15))) == 0xA129CA6149BE45E5


def siphash(k0, k1, data):
    mask = 2**64 - 1
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(x, n):
        return (x << n | x >> 64 - n) & mask

    def rounds(n):
        for _ in range(n):
            v[0] = v[0] + v[1] & mask
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = v[2] + v[3] & mask
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = v[0] + v[3] & mask
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = v[2] + v[1] & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    padded = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@given(
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
)
def test_a_tcp_header_is_written_as_it_is_read(port, number, flags, window, stamp):
    buffer = memory(b"", 64)
    at = ctypes.addressof(buffer)
    end = tcp_header.write_timestamp(tcp_header.write_scale(tcp_header.write_mss(at + 20, 1460), 7), stamp, 9)
    end = tcp_header.write_sack_permitted(end)
    tcp_header.write(at, port, 80, number, stamp, flags, window, 5, end - at)
    ports = struct.unpack(">HH", buffer[:4])
    fields = struct.unpack(">IIHHHH", buffer[4:20])
    assert ports == (port, 80) and fields[:2] == (number, stamp) and fields[3] == window and fields[5] == 5
    assert fields[2] & 0xFF == flags and fields[2] >> 12 == (end - at) // 4
    options = dict(frames.read_options(bytes(buffer[20 : end - at])))
    assert options == {"mss": 1460, "wscale": 7, "TS": (stamp, 9), "sackOK": None}


def test_ip_headers_are_what_the_tests_would_write():
    buffer = memory(b"", 64)
    at = ctypes.addressof(buffer)
    ip_header.write4(at, 30, 0x10, 7, 0x4000, 64, 17, 0x0A000001, 0x0A000002)
    expected = frames.ip("10.0.0.1", "10.0.0.2", 17, b"x" * 10, tos=0x10, ident=7, fragment=0x4000)
    assert buffer[:20] == expected[:20]
    ip_header.write6(at, 10, 0x10, 0, 64, 17, *words("fd00::1"), *words("fd00::2"))
    assert buffer[:40] == frames.ip("fd00::1", "fd00::2", 17, b"x" * 10, tos=0x10)[:40]


def test_a_neighbor_message_has_its_sum():
    buffer = memory(b"", 64)
    at = ctypes.addressof(buffer)
    addresses = words("fd00::1") + words("ff02::1")
    icmp_message.write_neighbor(at, 136, 0x60, *words("fd00::1"), 2, MAC)
    icmp_message.seal(at, 32, *addresses, 58)
    assert icmp_message.sound(at, 32, *addresses, 58)
    body = bytes(buffer[:32])
    assert frames.checksum(frames.pseudo("fd00::1", "ff02::1", 58, 32) + body) == 0
    assert icmp_message.link_address(at + 24, at + 32, 2) == MAC
    assert icmp_message.link_address(at + 24, at + 31, 2) == 0


def valid_frames():
    segment = Segment("S", 1, 0, 1000, 0, b"", [("mss", 1000), ("sackOK", None), ("TS", (1, 0))], ports=(9, 80))
    yield ethernet(MAC, PEER, segment.packet("10.0.0.2", "10.0.0.1"))
    yield ethernet(MAC, PEER, segment.packet("fd00::2", "fd00::1"))
    yield ethernet(MAC, PEER, frames.udp("10.0.0.2", "10.0.0.1", (9, 10), b"hello"))
    yield ethernet(MAC, PEER, frames.udp("fd00::2", "fd00::1", (9, 10), b"hello"))
    yield ethernet(MAC, PEER, frames.icmp("10.0.0.2", "10.0.0.1", 8, 0, b"\0\1\0\2", b"ping"))
    yield ethernet(MAC, PEER, frames.icmp("fd00::2", "fd00::1", 128, 0, b"\0\1\0\2", b"ping"))
    quoted = frames.udp("10.0.0.1", "10.0.0.2", (9, 10), b"hello")
    yield ethernet(MAC, PEER, frames.icmp("10.0.0.2", "10.0.0.1", 3, 3, b"\0\0\0\0", quoted))
    target = frames.packed("fd00::1") + b"\1\1" + PEER.to_bytes(6, "big")
    yield ethernet(MAC, PEER, frames.icmp("fd00::2", "fd00::1", 135, 0, b"\0\0\0\0", target))
    arp = struct.pack(">HHBBH", 1, 0x800, 6, 4, 1) + PEER.to_bytes(6, "big") + frames.packed("10.0.0.2")
    yield b"\xff" * 6 + PEER.to_bytes(6, "big") + b"\x08\x06" + arp + b"\0" * 6 + frames.packed("10.0.0.1")
    pieces = frames.ip("10.0.0.2", "10.0.0.1", 17, b"z" * 64, fragment=0x2000)
    yield ethernet(MAC, PEER, pieces)


FRAMES = list(valid_frames())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FRAMES), st.integers(0, 2**32), st.integers(0, 6))
def test_a_damaged_frame_harms_nobody(stack, frame, seed, changes):
    """Any octets may be others, and the end may be missing: at worst an answer that makes sense goes out."""
    choice = random.Random(seed)
    damaged = bytearray(frame)
    for _ in range(changes):
        damaged[choice.randrange(len(damaged))] = choice.randrange(256)
    if seed & 1:
        del damaged[choice.randrange(len(damaged)) :]
    for answer in feed(stack, bytes(damaged)):
        if answer[12:14] != b"\x08\x06":
            frames.read(answer)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x08\x06", b"\x81\x00"]))
def test_noise_harms_nobody(stack, noise, kind):
    feed(stack, MAC.to_bytes(6, "big") + PEER.to_bytes(6, "big") + kind + noise)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_any_options_harm_nobody(stack, raw):
    raw += b"\0" * (-len(raw) % 4)
    segment = Segment("S", 1, 0, 1000, 0, b"", [("raw", raw.hex())], ports=(9, 81))
    answers = feed(stack, ethernet(MAC, PEER, segment.packet("10.0.0.2", "10.0.0.1")))
    assert all("R" in frames.read_segment(answer).flags for answer in answers if answer[12:14] != b"\x08\x06")


def test_declarations_are_read_or_refused(tmp_path):
    path = tmp_path / "x.pxd"
    path.write_text("ctypedef struct Two:  # words\n    unsigned int a, b[3]\n\ncdef enum:\n    FOUR = 0x4\n")
    names = declared.read(path)
    assert ctypes.sizeof(names["Two"]) == 16 and names["FOUR"] == 4
    path.write_text("ctypedef struct Two:\n    float a\n")
    with pytest.raises(ValueError):
        declared.read(path)


def test_structures_are_as_large_as_compiled_code_has_them(stack):
    """Where one field were of another size, the packet's last block would not be where compiled code writes it."""
    blocks = [("sack", [(1, 2), (3, 4), (5, 6), (7, 8)])]
    segment = Segment(".", 1, 1, 1000, 0, b"", blocks, ports=(9, 82))
    feed(stack, ethernet(MAC, PEER, segment.packet("10.0.0.2", "10.0.0.1")))
    p = structs.Packet.from_address(stack.host.packet_at)
    assert list(p.sack_left) == [1, 3, 5, 7] and list(p.sack_right) == [2, 4, 6, 8] and p.sacks == 4
