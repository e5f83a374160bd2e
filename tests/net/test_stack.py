"""One stack and its link: ARP and Neighbor Discovery, ICMP, headers that say more, routes."""

import struct

import frames
import pytest
from bench import MAC, PEER, SECOND, Bench, arp
from frames import words

from libos.net import neighbors, routes, structs, udp_user

SOLICITED = "ff02::1:ff00:2"


# ARP and Neighbor Discovery


def test_arp_request_is_answered(bench):
    (answer,) = bench.feed(arp(1, "10.0.0.9", "10.0.0.1", 0x020000000009), target=None)
    assert answer[:14] == (0x020000000009).to_bytes(6, "big") + MAC.to_bytes(6, "big") + b"\x08\x06"
    assert answer[20:22] == b"\0\2" and answer[22:28] == MAC.to_bytes(6, "big")
    assert answer[28:32] == frames.packed("10.0.0.1")


def test_arp_request_for_others_is_not(bench):
    assert bench.feed(arp(1, "10.0.0.9", "10.0.0.3"), target=None) == []
    assert bench.feed(arp(1, "10.0.0.9", "127.0.0.1"), target=None) == []


def test_datagrams_wait_for_an_answer(stranger):
    at = stranger.socket(5000)
    for i in range(structs.WAITING_FRAMES + 2):  # the oldest make way
        assert stranger.send(at, b"%02d" % i) == 2
    (question,) = stranger.out()
    assert question[12:14] == b"\x08\x06" and question[:6] == b"\xff" * 6
    sent = stranger.feed(arp(2, "10.0.0.2", "10.0.0.1", to=MAC), target=None)
    assert [frame[-2:] for frame in sent] == [b"%02d" % (i + 2) for i in range(structs.WAITING_FRAMES)]
    assert all(frame[:6] == PEER.to_bytes(6, "big") for frame in sent)


def test_nobody_answers(stranger):
    """Three questions, a second apart; then a connected socket hears of it, others do not."""
    at = stranger.socket(5000)
    udp_user.connect(stranger.stack.udp, at, *words("10.0.0.2"), 7)
    stranger.send(at, b"x", None, 0)
    questions = stranger.wait(10)
    assert len(questions) == 3
    assert stranger.receive(at) == -structs.WOULD_BLOCK
    assert stranger.stack.next_deadline() == 0


def test_a_neighbor_is_asked_again_after_a_while(stranger):
    at = stranger.socket(5000)
    stranger.send(at, b"x")
    stranger.out()
    stranger.feed(arp(2, "10.0.0.2", "10.0.0.1", to=MAC), target=None)
    assert stranger.wait(31) == []
    stranger.send(at, b"y")
    assert len(stranger.out()) == 1, "a stale address is still used"
    asked = stranger.wait(5.5)
    assert [frame[:6] for frame in asked] == [PEER.to_bytes(6, "big")], "and then asked of itself"


def test_an_unasked_arp_answer_makes_no_entry(stranger):
    stranger.feed(arp(2, "10.0.0.2", "10.0.0.3", to=MAC), target=None)
    stranger.send(stranger.socket(5000), b"x")
    (question,) = stranger.out()
    assert question[12:14] == b"\x08\x06"


def test_neighbor_solicitation_is_answered(bench):
    target = frames.packed("fd00::1") + b"\1\1" + PEER.to_bytes(6, "big")
    packet = frames.icmp("fd00::2", "ff02::1:ff00:1", 135, 0, b"\0\0\0\0", target)
    packet = packet[:7] + b"\xff" + packet[8:]
    (answer,) = bench.feed(packet, target=0x3333FF000001)
    protocol, source, to, body, *_ = frames.read(answer)
    assert (protocol, source, to) == (58, "fd00::1", "fd00::2")
    assert body[0] == 136 and body[4] == 0x60 and body[-6:] == MAC.to_bytes(6, "big")
    assert frames.checksum(frames.pseudo(source, to, 58, len(body)) + body) == 0


def test_a_solicitation_from_afar_is_ignored(bench):
    target = frames.packed("fd00::1") + b"\1\1" + PEER.to_bytes(6, "big")
    assert bench.feed(frames.icmp("fd00::2", "fd00::1", 135, 0, b"\0\0\0\0", target)) == []


def test_ipv6_datagrams_wait_for_an_advertisement(stranger):
    at = stranger.socket(5000, 6)
    assert stranger.send(at, b"hello", "fd00::2") == 5
    (question,) = stranger.out()
    protocol, source, to, body, *_ = frames.read(question)
    assert (protocol, source, to, body[0]) == (58, "fd00::1", SOLICITED, 135)
    assert question[:6] == bytes.fromhex("3333ff000002")
    answer = frames.icmp(
        "fd00::2", "fd00::1", 136, 0, b"\x60\0\0\0", frames.packed("fd00::2") + b"\2\1" + PEER.to_bytes(6, "big")
    )
    (sent,) = stranger.feed(answer[:7] + b"\xff" + answer[8:])
    assert sent[:6] == PEER.to_bytes(6, "big") and sent.endswith(b"hello")


def test_announcements(stranger):
    """Whoever knew another owner of our addresses learns of us; who knew none keeps nothing of it."""
    neighbors.announce(stranger.host)
    arp_frame, advertisement = stranger.out()
    assert arp_frame[:6] == b"\xff" * 6 and arp_frame[28:32] == arp_frame[38:42] == frames.packed("10.0.0.1")
    protocol, source, target, body, *_ = frames.read(advertisement)
    assert (source, target, body[0], body[4]) == ("fd00::1", "ff02::1", 136, 0x20)
    assert advertisement[:6] == bytes.fromhex("333300000001")
    other = Bench(known=False)
    at = other.socket(5000)
    other.send(at, b"x", "10.0.0.9")
    other.out()
    other.feed(arp(2, "10.0.0.9", "10.0.0.1", 0x020000000009, MAC), target=None)
    other.feed(arp(1, "10.0.0.9", "10.0.0.9", 0x02000000000A), target=None)
    other.send(at, b"y", "10.0.0.9")
    assert other.out()[0][:6] == (0x02000000000A).to_bytes(6, "big")
    other.feed(arp(1, "10.0.0.8", "10.0.0.8", 0x020000000008), target=None)
    other.send(at, b"z", "10.0.0.8")
    assert other.out()[0][12:14] == b"\x08\x06", "it is asked for"
    other.host.close()


# ICMP


@pytest.mark.parametrize("us, peer, kind", [("10.0.0.1", "10.0.0.2", 8), ("fd00::1", "fd00::2", 128)])
def test_echo(bench, us, peer, kind):
    (answer,) = bench.feed(frames.icmp(peer, us, kind, 0, b"\0\1\0\2", b"ping" * 20))
    protocol, source, target, body, *_ = frames.read(answer)
    assert (source, target) == (us, peer) and body[4:] == b"\0\1\0\2" + b"ping" * 20
    assert body[0] == (0 if kind == 8 else 129)
    cover = frames.pseudo(source, target, 58, len(body)) if kind == 128 else b""
    assert frames.checksum(cover + body) == 0


def test_broadcast_echo_is_not_answered(bench):
    assert bench.feed(frames.icmp("10.0.0.2", "10.0.0.255", 8, 0, b"\0\1\0\2"), target=(1 << 48) - 1) == []


def test_nobody_has_the_port(bench):
    packet = frames.udp("10.0.0.2", "10.0.0.1", (9, 4000), b"hello")
    (answer,) = bench.feed(packet)
    protocol, _, target, body, *_ = frames.read(answer)
    assert (protocol, target, body[:2], body[8:]) == (1, "10.0.0.2", b"\3\3", packet)
    (answer,) = bench.feed(frames.udp("fd00::2", "fd00::1", (9, 4000), b"hello"))
    assert frames.read(answer)[3][:2] == b"\1\4"


def test_nobody_speaks_the_protocol(bench):
    (answer,) = bench.feed(frames.ip("10.0.0.2", "10.0.0.1", 99, b"hello"))
    assert frames.read(answer)[3][:2] == b"\3\2"


def test_errors_are_limited(bench):
    packet = frames.udp("10.0.0.2", "10.0.0.1", (9, 4000), b"hello")
    sent = sum(len(bench.feed(packet)) for _ in range(200))
    assert sent == 50
    bench.now += 10 * 10**6
    assert sum(len(bench.feed(packet)) for _ in range(50)) == 10


def test_no_error_about_a_broadcast_or_a_later_fragment(bench):
    later = frames.ip("10.0.0.2", "10.0.0.1", 99, b"x" * 16, ident=9, fragment=1)
    first = frames.ip("10.0.0.2", "10.0.0.1", 99, b"y" * 8, ident=9, fragment=0x2000)
    assert bench.feed(later) == []
    assert len(bench.feed(first)) == 1, "about the whole one there is"
    assert bench.feed(frames.udp("10.0.0.2", "10.0.0.255", (9, 4000), b"x"), target=(1 << 48) - 1) == []


def test_an_unreachable_port_is_told_to_a_connected_socket(bench):
    at = bench.socket(5000)
    udp_user.connect(bench.stack.udp, at, *words("10.0.0.2"), 7)
    assert bench.send(at, b"hello", None, 0) == 5
    (sent,) = bench.out()
    bench.feed(frames.icmp("10.0.0.2", "10.0.0.1", 3, 3, b"\0\0\0\0", sent[14:42]))
    assert udp_user.ready(bench.stack.udp, at) & structs.FAILED
    assert bench.receive(at) == -structs.REFUSED
    assert bench.receive(at) == -structs.WOULD_BLOCK


# headers that say more


def with_options(packet, options):
    """An IPv4 packet with options in its header."""
    head = bytearray(packet[:20] + options)
    head[0] = 0x40 | len(head) // 4
    head[2:4] = struct.pack(">H", len(head) + len(packet) - 20)
    head[10:12] = b"\0\0"
    head[10:12] = struct.pack(">H", frames.checksum(bytes(head)))
    return bytes(head) + packet[20:]


@pytest.mark.parametrize(
    "options, taken",
    [
        (b"\1\1\1\0", True),  # padding
        (b"\x94\4\0\0", True),  # router alert
        (b"\x07\7\4\0\0\0\0\0", True),  # record route
        (b"\x83\7\4\x0a\0\0\x09\0", False),  # loose source route
        (b"\x89\7\4\x0a\0\0\x09\0", False),  # strict source route
        (b"\x07\x09\4\0\0\0\0\0", False),  # longer than the header
        (b"\x07\1\0\0", False),  # no length
    ],
)
def test_options_of_ipv4(bench, options, taken):
    at = bench.socket(5000)
    bench.feed(with_options(frames.udp("10.0.0.2", "10.0.0.1", (9, 5000), b"hello"), options))
    assert bench.receive(at) == (b"hello" if taken else -structs.WOULD_BLOCK)
    assert bench.host.refused == (0 if taken else 1)


@pytest.mark.parametrize(
    "kind, header, taken",
    [
        (0, b"\1\4\0\0\0\0", True),  # hop by hop: padding
        (0, b"\5\2\0\0\1\0", True),  # router alert
        (60, b"\x1e\4\0\0\0\0", True),  # an option for the destination that may be passed over
        (60, b"\x9e\4\0\0\0\0", False),  # one that may not
        (60, b"\1\5\0\0\0\0", False),  # longer than the header
        (43, b"\0\0\0\0\0\0", True),  # a route that is at its end
        (43, b"\0\1\0\0\0\0", False),  # one that goes on
    ],
)
def test_extension_headers_of_ipv6(bench, kind, header, taken):
    at = bench.socket(5000, 6)
    packet = frames.udp("fd00::2", "fd00::1", (9, 5000), b"hello")
    body = b"\x11\0" + header + packet[40:]
    bench.feed(frames.ip("fd00::2", "fd00::1", kind, body))
    assert bench.receive(at) == (b"hello" if taken else -structs.WOULD_BLOCK)


# routes


def test_routes(bench):
    at = bench.socket(5000)
    assert bench.send(at, b"x", "192.0.2.1") == -structs.NETWORK_UNREACHABLE
    routes.add(bench.host, *words("0.0.0.0"), 96, *words("10.0.0.2"))
    assert bench.send(at, b"x", "192.0.2.1") == 1
    (sent,) = bench.out()
    assert sent[:6] == PEER.to_bytes(6, "big") and frames.read(sent)[2] == "192.0.2.1"
    neighbors.add(bench.host, *words("10.0.0.3"), 0x020000000003)
    routes.add(bench.host, *words("192.0.2.0"), 120, *words("10.0.0.3"))
    assert bench.send(at, b"x", "192.0.2.1") == 1
    assert bench.out()[0][:6] == (3 | 2 << 40).to_bytes(6, "big"), "the longer prefix"


def test_path_mtu_of_datagrams(bench):
    at = bench.socket(5000)
    assert bench.send(at, b"x" * 1400) == 1400
    (sent,) = bench.out()
    bench.feed(frames.icmp("10.0.0.2", "10.0.0.1", 3, 4, struct.pack(">HH", 0, 700), sent[14:42]))
    assert bench.send(at, b"x" * 1400) == 1400
    assert [len(frame) <= 714 for frame in bench.out()] == [True] * 3
    bench.now += 601 * SECOND
    bench.host.now = bench.now
    assert bench.send(at, b"x" * 1400) == 1400
    assert len(bench.out()) == 1, "after ten minutes the large way is tried again"
