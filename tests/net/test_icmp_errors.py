"""What ICMP reports, in both families: told to those whom it concerns, and to nobody else."""

import struct

import frames
import pytest
from frames import words

from libos.net import structs, udp_user
from libos.net.tcp import user

US, PEER = {4: "10.0.0.1", 6: "fd00::1"}, {4: "10.0.0.2", 6: "fd00::2"}
# type and code, what an attempt to connect ends with (0: it goes on), whether a UDP socket hears of it as well
MEANINGS = [
    (4, 3, 0, structs.NETWORK_UNREACHABLE, False),
    (4, 3, 1, structs.HOST_UNREACHABLE, False),
    (4, 3, 2, structs.PROTOCOL_UNREACHABLE, True),
    (4, 3, 3, structs.REFUSED, True),
    (4, 3, 6, structs.NETWORK_UNREACHABLE, False),
    (4, 3, 13, structs.HOST_UNREACHABLE, False),
    (4, 11, 0, structs.HOST_UNREACHABLE, False),
    (4, 12, 0, 0, False),
    (4, 13, 0, 0, False),  # a time stamp is asked for: not ours to answer
    (6, 1, 0, structs.NETWORK_UNREACHABLE, False),
    (6, 1, 3, structs.HOST_UNREACHABLE, False),
    (6, 1, 4, structs.REFUSED, True),
    (6, 3, 0, structs.HOST_UNREACHABLE, False),
    (6, 4, 1, structs.PROTOCOL_UNREACHABLE, True),
    (6, 4, 0, 0, False),
]


def quoting(family, kind, code, quoted, word=0):
    return frames.icmp(PEER[family], US[family], kind, code, struct.pack(">I", word), quoted)


def connecting(bench, family):
    """A record that has sent its SYN, and the SYN."""
    c = user.open(bench.stack.tcp, family)
    assert user.connect(bench.stack.tcp, c, *words(PEER[family]), 80) == -structs.IN_PROGRESS
    (sent,) = bench.out()
    return c, sent[14:]


def datagram(bench, family):
    """A connected UDP socket, and what it has sent."""
    at = bench.socket(5000, family)
    assert udp_user.connect(bench.stack.udp, at, *words(PEER[family]), 7) == 0
    assert bench.send(at, b"hello", None, 0) == 5
    (sent,) = bench.out()
    return at, sent[14:]


@pytest.mark.parametrize("family, kind, code, meaning, hard", MEANINGS)
def test_what_errors_mean(bench, family, kind, code, meaning, hard):
    c, syn = connecting(bench, family)
    at, sent = datagram(bench, family)
    bench.feed(quoting(family, kind, code, syn[:60]), quoting(family, kind, code, sent))
    state = structs.Tcb.from_address(c).state
    assert user.take_error(bench.stack.tcp, c) == meaning and state == (structs.CLOSED if meaning else structs.SYN_SENT)
    assert bench.receive(at) == (-meaning if hard else -structs.WOULD_BLOCK)


def broken(family):
    """Quotations of a datagram from port 5000 to port 7 that say nothing of it."""
    packet = frames.udp(US[family], PEER[family], (5000, 7), b"hello")
    yield "too short", packet[:27]
    yield "of others", frames.udp(PEER[family], US[family], (5000, 7), b"hello")
    yield "of no family", b"\x50" + packet[1:]
    if family == 4:
        yield "a header too short", b"\x44" + packet[1:]
        yield "a header longer than all", b"\x4f" + packet[1:]
        yield "a later fragment", packet[:6] + b"\0\7" + packet[8:]
    else:
        yield "no ports", packet[:47]
        fragment = frames.ip(US[6], PEER[6], 44, b"\x11\0\0\x50" + packet[36:])
        yield "a later fragment", fragment
        yield "a fragment's header only", fragment[:52]


@pytest.mark.parametrize("family, what, quoted", [(f, *case) for f in (4, 6) for case in broken(f)])
def test_quotations_that_say_nothing(bench, family, what, quoted):
    at, _ = datagram(bench, family)
    bench.feed(quoting(family, *((3, 3) if family == 4 else (1, 4)), quoted))
    assert bench.receive(at) == -structs.WOULD_BLOCK


def test_a_quoted_first_fragment(bench):
    at, sent = datagram(bench, 6)
    bench.feed(quoting(6, 1, 4, frames.ip(US[6], PEER[6], 44, b"\x11\0\0\1\0\0\0\7" + sent[40:])))
    assert bench.receive(at) == -structs.REFUSED


def test_messages_that_are_none(bench):
    at, sent = datagram(bench, 4)
    message = quoting(4, 3, 3, sent)
    assert bench.feed(message[:-1] + b"?") == [] and bench.host.refused == 1, "a wrong sum"
    assert bench.feed(frames.ip(PEER[4], US[4], 1, b"\x08\0\xf7\xff")) == [], "half a header"
    assert bench.receive(at) == -structs.WOULD_BLOCK


@pytest.mark.parametrize(
    "family, kind, code, told, size",
    [(4, 3, 4, 700, 700), (4, 3, 4, 0, 576), (4, 3, 4, 68, 552), (6, 2, 0, 1300, 1300)],
)
def test_a_datagram_was_too_large(bench, family, kind, code, told, size):
    """RFC 1191, RFC 8201; a router that says no MTU means the least that is in use."""
    at = bench.socket(5000, family)
    assert bench.send(at, b"x" * 1400, PEER[family]) == 1400
    (sent,) = bench.out()
    bench.feed(quoting(family, kind, code, sent[14:114], told))
    assert bench.send(at, b"x" * 1400, PEER[family]) == 1400
    pieces = bench.out()
    assert len(pieces) > 1 and size - 8 < max(len(frame) - 14 for frame in pieces) <= size


def test_a_segment_was_too_large_for_nobody(bench):
    """Of a connection that is not there, or of octets that are not on their way: nothing changes."""
    c, syn = connecting(bench, 4)
    bench.feed(quoting(4, 3, 4, syn[:24] + b"\0\0\0\0", 700), quoting(4, 3, 3, syn[:24] + b"\0\0\0\0"))
    other = syn[:20] + struct.pack(">HH", 1, 2) + syn[24:]
    bench.feed(quoting(4, 3, 4, other, 700), quoting(4, 3, 3, other))
    assert structs.Tcb.from_address(c).state == structs.SYN_SENT


def test_an_echo_to_a_group_is_answered_by_one_of_it(bench):
    request = frames.icmp("fd00::2", "ff02::1", 128, 0, b"\0\1\0\2", b"all")
    (answer,) = bench.feed(request, target=0x333300000001)
    assert frames.read(answer)[1:3] == ("fd00::1", "fd00::2")
    request = frames.icmp("10.0.0.2", "224.0.0.1", 8, 0, b"\0\1\0\2", b"all")
    assert bench.feed(request, target=0x01005E000001) == []


def test_no_way_back(bench):
    """To a sender that no route leads to nothing is said."""
    request = frames.icmp("192.0.2.7", "10.0.0.1", 8, 0, b"\0\1\0\2", b"hello")
    assert bench.feed(request, frames.udp("192.0.2.7", "10.0.0.1", (9, 4000), b"hello")) == []


def test_nobody_speaks_the_protocol_of_ipv6(bench):
    (answer,) = bench.feed(frames.ip("fd00::2", "fd00::1", 99, b"hello"))
    assert frames.read(answer)[3][:8] == b"\4\1" + frames.read(answer)[3][2:4] + struct.pack(">I", 40)
    assert bench.feed(frames.ip("fd00::2", "fd00::1", 59, b"")) == [], "no next header is no protocol"


@pytest.mark.parametrize("source, target", [("::", "fd00::1"), ("0.0.0.0", "10.0.0.1"), ("fd00::2", "ff02::1")])
def test_no_error_to_nobody_or_about_a_group(bench, source, target):
    assert bench.feed(frames.ip(source, target, 99, b"hello")) == []
