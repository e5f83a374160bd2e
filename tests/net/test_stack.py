"""One stack and what is not TCP: ARP and Neighbor Discovery, ICMP, UDP, fragments, routes."""

import ctypes
import struct

import frames
import pytest
from frames import ethernet, words
from hypothesis import given, settings
from hypothesis import strategies as st

from libos.net import neighbors, routes, structs, udp_user
from libos.net.stack import Stack

MAC, PEER = 0x020000000001, 0x020000000002
SECOND = 10**9
SOLICITED = "ff02::1:ff00:2"


class Bench:
    """A stack with two addresses, and its frames as bytes."""

    def __init__(self, known=True):
        self.now = 1000 * SECOND
        self.stack = Stack(MAC, 1500, b"b" * 16, 1 << 26, 64)
        self.host = self.stack.host
        self.host.add_address(*words("10.0.0.1"), 120)
        self.host.add_address(*words("fd00::1"), 64)
        self.host.now = self.now
        if known:
            for address in ("10.0.0.2", "fd00::2"):
                neighbors.add(self.host, *words(address), PEER)
        self.buffer = ctypes.create_string_buffer(1 << 17)
        self.at = ctypes.addressof(self.buffer)

    def feed(self, *packets, target=MAC, source=PEER):
        """What goes out after these packets (or frames, of `target` None) have come in."""
        for packet in packets:
            frame = packet if target is None else ethernet(target, source, packet)
            self.buffer[: len(frame)] = frame
            self.stack.receive(self.at, len(frame), self.now)
        return self.out()

    def out(self):
        self.stack.poll(self.now)
        return self.host.out.contents()

    def wait(self, seconds):
        """What goes out in that time."""
        end, frames = self.now + round(seconds * SECOND), self.out()
        while (due := self.stack.next_deadline()) and due <= end:
            self.now = max(self.now, due)
            frames += self.out()
        self.now = self.host.now = end
        return frames + self.out()

    def socket(self, port=0, family=4, address=None, options=0):
        at = udp_user.open(self.stack.udp, family)
        structs.Udp.from_address(at).options = options
        high, low = words(address) if address else (0, 0)
        if port or address:
            assert udp_user.bind(self.stack.udp, at, high, low, port) == 0
        return at

    def send(self, at, data, address="10.0.0.2", port=7):
        self.buffer[: len(data)] = data
        high, low = words(address) if address else (0, 0)
        return udp_user.send(self.stack.udp, at, self.at, len(data), high, low, port)

    def receive(self, at, size=65536):
        n = udp_user.receive_into(self.stack.udp, at, self.at, size)
        return n if n < 0 else self.buffer[: min(n, size)]


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.host.close()


@pytest.fixture
def stranger():
    """A stack that knows nobody."""
    bench = Bench(known=False)
    yield bench
    bench.host.close()


def arp(kind, sender, target, mac=PEER, to=0):
    body = struct.pack(">HHBBH", 1, 0x800, 6, 4, kind) + mac.to_bytes(6, "big") + frames.packed(sender)
    body += to.to_bytes(6, "big") + frames.packed(target)
    return b"\xff" * 6 + mac.to_bytes(6, "big") + b"\x08\x06" + body


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
    for i in range(6):
        assert stranger.send(at, b"%d" % i) == 1
    (question,) = stranger.out()
    assert question[12:14] == b"\x08\x06" and question[:6] == b"\xff" * 6
    sent = stranger.feed(arp(2, "10.0.0.2", "10.0.0.1", to=MAC), target=None)
    assert [frame[-1:] for frame in sent] == [b"2", b"3", b"4", b"5"]
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


# UDP


@pytest.mark.parametrize("us, peer, family", [("10.0.0.1", "10.0.0.2", 4), ("fd00::1", "fd00::2", 6)])
def test_datagrams_there_and_back(bench, us, peer, family):
    at = bench.socket(5000, family)
    assert bench.feed(frames.udp(peer, us, (9, 5000), b"hello"), frames.udp(peer, us, (9, 5000), b"")) == []
    d = structs.Datagram.from_address(udp_user.first(bench.stack.udp, at))
    assert (d.source_high, d.source_low, d.source_port) == (*words(peer), 9)
    assert bench.receive(at) == b"hello" and bench.receive(at) == b""
    assert bench.receive(at) == -structs.WOULD_BLOCK
    assert bench.send(at, b"answer", peer, 9) == 6
    (sent,) = bench.out()
    protocol, source, target, body, *_ = frames.read(sent)
    assert (protocol, source, target, body[8:]) == (17, us, peer, b"answer")
    assert struct.unpack(">HHH", body[:6]) == (5000, 9, 14)
    assert frames.checksum(frames.pseudo(source, target, 17, len(body)) + body) == 0


def test_a_short_read_tells_the_whole_length(bench):
    at = bench.socket(5000)
    bench.feed(frames.udp("10.0.0.2", "10.0.0.1", (9, 5000), b"hello"))
    assert udp_user.receive_into(bench.stack.udp, at, bench.at, 2) == 5
    assert bench.buffer[:2] == b"he" and bench.receive(at) == -structs.WOULD_BLOCK


def test_the_most_exact_socket_gets_it(bench):
    wide = bench.socket(5000, options=structs.REUSE_ADDRESS)
    exact = bench.socket(5000, address="10.0.0.1", options=structs.REUSE_ADDRESS)
    connected = bench.socket(5000, address="10.0.0.1", options=structs.REUSE_ADDRESS)
    udp_user.connect(bench.stack.udp, connected, *words("10.0.0.2"), 7)
    bench.feed(frames.udp("10.0.0.2", "10.0.0.1", (7, 5000), b"from seven"))
    bench.feed(frames.udp("10.0.0.2", "10.0.0.1", (8, 5000), b"from eight"))
    assert bench.receive(connected) == b"from seven" and bench.receive(exact) == b"from eight"
    assert bench.receive(wide) == -structs.WOULD_BLOCK


def test_ports_are_taken_and_given_back(bench):
    udp = bench.stack.udp
    at = bench.socket(5000)
    other = udp_user.open(udp, 4)
    assert udp_user.bind(udp, other, 0, 0, 5000) == -structs.IN_USE
    assert udp_user.bind(udp, other, *words("10.9.9.9"), 5000) == -structs.ADDRESS_UNAVAILABLE
    udp_user.close(udp, at)
    assert udp_user.bind(udp, other, 0, 0, 5000) == 0
    ports = set()
    for _ in range(50):
        free = udp_user.open(udp, 4)
        assert udp_user.bind(udp, free, 0, 0, 0) == 0
        ports.add(structs.Udp.from_address(free).local_port)
    assert len(ports) == 50 and max(ports) - min(ports) > 1000


def test_a_full_queue_drops(bench):
    at = bench.socket(5000)
    structs.Udp.from_address(at).limit = 3000
    for _ in range(5):
        bench.feed(frames.udp("10.0.0.2", "10.0.0.1", (9, 5000), b"x" * 1000))
    assert structs.Udp.from_address(at).dropped == 3
    assert len(bench.receive(at)) == 1000 and len(bench.receive(at)) == 1000
    assert bench.receive(at) == -structs.WOULD_BLOCK


def test_a_datagram_to_ourselves(bench):
    here, there = bench.socket(5000), bench.socket(6000)
    for address in ("10.0.0.1", "127.0.0.1"):
        assert bench.send(here, b"to me", address, 6000) == 5
        assert bench.out() == []
        assert bench.receive(there) == b"to me"


def test_the_loopback_network_is_not_reached_from_outside(bench):
    at = bench.socket(5000)
    assert bench.feed(frames.udp("10.0.0.2", "127.0.0.1", (9, 5000), b"x")) == []
    assert bench.feed(frames.udp("127.0.0.1", "10.0.0.1", (9, 5000), b"x")) == []
    assert bench.feed(frames.udp("10.0.0.1", "10.0.0.1", (9, 5000), b"x")) == []
    assert bench.receive(at) == -structs.WOULD_BLOCK


def test_groups(bench):
    udp = bench.stack.udp
    member = bench.socket(5000, options=structs.REUSE_ADDRESS)
    other = bench.socket(5000, options=structs.REUSE_ADDRESS)
    packet = frames.udp("10.0.0.2", "239.1.2.3", (9, 5000), b"all")
    bench.feed(packet, target=0x01005E010203)
    assert bench.receive(member) == -structs.WOULD_BLOCK
    assert udp_user.join(udp, member, *words("239.1.2.3")) == 0
    assert len(bench.out()) == 1, "a report"
    assert udp_user.join(udp, member, *words("239.1.2.3")) == -structs.IN_USE
    assert udp_user.join(udp, member, *words("10.0.0.2")) == -structs.INVALID
    assert bench.feed(packet, target=0x01005E010203) == []
    assert bench.receive(member) == b"all" and bench.receive(other) == -structs.WOULD_BLOCK
    # what we send ourselves is heard too
    assert bench.send(other, b"mine", "239.1.2.3", 5000) == 4
    (sent,) = bench.out()
    assert sent[:6] == bytes.fromhex("01005e010203") and sent[22] == 1
    assert bench.receive(member) == b"mine"
    assert udp_user.leave(udp, member, *words("239.1.2.3")) == 0
    bench.out()
    bench.feed(packet, target=0x01005E010203)
    assert bench.receive(member) == -structs.WOULD_BLOCK


def reports(out):
    """(kind, group) of IGMPv3 and MLDv2 reports, whose sums are right."""
    found = []
    for frame in out:
        if frame[12:14] == b"\x86\xdd":
            body = frame[62:]
            assert frames.checksum(frames.pseudo("::", "ff02::16", 58, len(body)) + body) == 0
            assert (
                frame[:6] == bytes.fromhex("333300000016")
                and frame[21] == 1
                and body[:8] == b"\x8f\0" + body[2:4] + b"\0\0\0\1"
            )
            found.append((body[8], frames.socket.inet_ntop(frames.socket.AF_INET6, body[12:])))
        else:
            body = frame[38:]
            assert frames.checksum(frame[14:38]) == frames.checksum(body) == 0
            assert frame[:6] == bytes.fromhex("01005e000016") and frame[22:24] == b"\1\2" and body[0] == 0x22
            found.append((body[8], frames.socket.inet_ntoa(body[12:])))
    return found


def test_groups_are_reported(bench):
    udp, join = bench.stack.udp, udp_user.join
    here, also = bench.socket(5000), bench.socket(5001, 6)
    assert join(udp, here, *words("239.1.2.3")) == 0 and join(udp, also, *words("ff05::7")) == 0
    assert reports(bench.out()) == [(4, "239.1.2.3"), (4, "ff05::7")]
    assert join(udp, also, *words("239.1.2.3")) == 0 and bench.out() == [], "it was heard before"
    query = frames.ip("10.0.0.9", "224.0.0.1", 2, b"\x11\0\xee\xff\0\0\0\0", ttl=1)
    assert reports(bench.feed(query, target=0x01005E000001)) == [(2, "239.1.2.3")] * 2
    query = frames.icmp("fe80::9", "ff02::1", 130, 0, b"\0\0\0\0", bytes(16))
    query = query[:7] + b"\1" + query[8:]
    assert reports(bench.feed(query, target=0x333300000001)) == [(2, "ff05::7")]
    udp_user.close(udp, here)
    assert bench.out() == [], "the other still hears it"
    udp_user.close(udp, also)
    assert sorted(reports(bench.out())) == [(3, "239.1.2.3"), (3, "ff05::7")]


def test_broadcast_has_to_be_allowed(bench):
    at = bench.socket(5000)
    assert bench.send(at, b"x", "10.0.0.255") == -structs.DENIED
    structs.Udp.from_address(at).options |= structs.BROADCAST
    assert bench.send(at, b"x", "10.0.0.255") == 1
    assert bench.out()[0][:6] == b"\xff" * 6
    bench.feed(frames.udp("10.0.0.2", "10.0.0.255", (9, 5000), b"all"), target=(1 << 48) - 1)
    assert bench.receive(at) == b"all"


def test_a_wrong_sum_is_dropped(bench):
    at = bench.socket(5000)
    packet = frames.udp("10.0.0.2", "10.0.0.1", (9, 5000), b"hello")
    bench.feed(packet[:-1] + b"!")
    assert bench.receive(at) == -structs.WOULD_BLOCK and bench.stack.udp.bad == 1
    bench.feed(packet[:26] + b"\0\0" + packet[28:-1] + b"!")
    assert bench.receive(at) == b"hell!", "no sum at all is allowed"


def test_an_ipv6_datagram_needs_a_sum(bench):
    at = bench.socket(5000, 6)
    packet = frames.udp("fd00::2", "fd00::1", (9, 5000), b"hello")
    bench.feed(packet[:46] + b"\0\0" + packet[48:])
    assert bench.receive(at) == -structs.WOULD_BLOCK and bench.stack.udp.bad == 1


def test_packets_for_others_are_not_ours(bench):
    """A switch that floods, or a bridge, brings them: neither taken nor answered."""
    at = bench.socket(5000)
    segment = frames.Segment("S", 1, 0, 1000, ports=(9, 80)).packet("10.0.0.2", "10.0.0.77")
    assert bench.feed(frames.udp("10.0.0.2", "10.0.0.77", (9, 5000), b"x"), segment) == []
    assert bench.feed(frames.udp("10.0.0.2", "10.0.0.1", (9, 5000), b"x"), target=0x020000000077) == []
    assert bench.receive(at) == -structs.WOULD_BLOCK


# fragments


def split(packet_fields, body, cuts):
    """IPv4 fragments of `body`, cut at multiples of 8."""
    edges = [0, *sorted(cuts), len(body)]
    for start, end in zip(edges, edges[1:], strict=False):
        more = 0x2000 if end < len(body) else 0
        yield frames.ip(*packet_fields, 17, body[start:end], ident=77, fragment=more | start // 8)


def udp_body(data):
    return frames.udp("10.0.0.2", "10.0.0.1", (9, 5000), data)[20:]


@settings(max_examples=50, deadline=None)
@given(st.data(), st.integers(100, 4000))
def test_fragments_in_any_order_and_twice(data, size):
    bench = Bench()
    at = bench.socket(5000)
    payload = bytes(i * 7 & 255 for i in range(size))
    body = udp_body(payload)
    cuts = data.draw(st.lists(st.integers(1, len(body) // 8).map(lambda n: n * 8), max_size=6, unique=True))
    pieces = list(split(("10.0.0.2", "10.0.0.1"), body, [cut for cut in cuts if cut < len(body)]))
    order = data.draw(st.permutations(pieces))
    repeated = data.draw(st.sampled_from(pieces))
    order.insert(data.draw(st.integers(0, len(order) - 1)), repeated)
    bench.feed(*order)
    assert bench.receive(at) == payload
    bench.host.close()


def test_overlapping_fragments_end_their_datagram(bench):
    at = bench.socket(5000)
    body = udp_body(b"x" * 1000)
    first = frames.ip("10.0.0.2", "10.0.0.1", 17, body[:512], ident=5, fragment=0x2000)
    overlap = frames.ip("10.0.0.2", "10.0.0.1", 17, body[504:], ident=5, fragment=504 // 8)
    rest = frames.ip("10.0.0.2", "10.0.0.1", 17, body[512:], ident=5, fragment=512 // 8)
    bench.feed(first, overlap, rest)
    assert bench.receive(at) == -structs.WOULD_BLOCK


def test_fragments_are_forgotten(bench):
    at = bench.socket(5000)
    body = udp_body(b"x" * 1000)
    pieces = list(split(("10.0.0.2", "10.0.0.1"), body, [504]))
    bench.feed(pieces[0])
    bench.wait(31)
    bench.feed(pieces[1])
    assert bench.receive(at) == -structs.WOULD_BLOCK


def test_many_beginnings_take_a_bounded_memory(bench):
    before = bench.host.pool.used
    for ident in range(500):
        bench.feed(frames.ip("10.0.0.2", "10.0.0.1", 17, b"x" * 64, ident=ident, fragment=0x2000))
    assert bench.host.pool.used - before <= 16 * 131072
    bench.wait(40)
    assert bench.host.pool.used == before


@pytest.mark.parametrize("peer, family, overhead", [("10.0.0.2", 4, 20), ("fd00::2", 6, 48)])
def test_a_long_datagram_goes_out_in_fragments(bench, peer, family, overhead):
    at = bench.socket(5000, family)
    payload = bytes(i * 13 & 255 for i in range(5000))
    assert bench.send(at, payload, peer) == 5000
    sent = bench.out()
    assert len(sent) == 4 and all(len(frame) <= 1514 for frame in sent)
    other = Bench()
    target = "10.0.0.1" if family == 4 else "fd00::1"
    there = other.socket(7, family)
    for frame in sent:  # as they are, but for the addresses' last octet
        packet = bytearray(frame[14:])
        if family == 4:
            packet[12:20] = frames.packed(peer) + frames.packed(target)
            packet[10:12] = b"\0\0"
            packet[10:12] = struct.pack(">H", frames.checksum(bytes(packet[:20])))
        else:
            packet[8:40] = frames.packed(peer) + frames.packed(target)
        other.feed(bytes(packet))
    assert other.receive(there) == payload
    other.host.close()


def test_too_long_for_udp(bench):
    assert bench.send(bench.socket(5000), b"x" * 65508) == -structs.TOO_LONG


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
