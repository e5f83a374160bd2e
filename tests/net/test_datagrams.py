"""One stack and its datagrams: UDP, groups, fragments."""

import struct

import frames
import pytest
from bench import MAC, Bench, arp
from frames import words
from hypothesis import given, settings
from hypothesis import strategies as st

from libos.net import structs, udp_user

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


@pytest.mark.parametrize("size", [8000, 65507])
def test_a_long_datagram_waits_whole_for_its_neighbor(size):
    """The first one to a host, whose Ethernet address is not known yet."""
    bench = Bench(known=False)
    at = bench.socket(5000)
    assert bench.send(at, b"x" * size) == size
    assert len(bench.out()) == 1  # the question
    answer = arp(2, "10.0.0.2", "10.0.0.1", to=MAC)
    sent = [frames.read(frame)[3] for frame in bench.feed(answer, target=None)]
    assert sum(map(len, sent)) == 8 + size
    bench.host.close()


def test_too_long_for_udp(bench):
    assert bench.send(bench.socket(5000), b"x" * 65508) == -structs.TOO_LONG


def piece(offset, length, more, ident=3):
    return frames.ip("10.0.0.2", "10.0.0.1", 17, bytes(length), ident=ident, fragment=more << 13 | offset // 8)


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, 20, 1)],  # not of whole blocks
        [(0, 0, 1)],  # of nothing
        [(65528, 800, 0)],  # beyond what a length can say
        [(0, 64, 1), (128, 64, 0), (64, 32, 0)],  # two ends
        [(128, 64, 1), (0, 64, 1), (64, 8, 0)],  # more than there is
    ],
)
def test_fragments_of_no_datagram(bench, pieces):
    at, before = bench.socket(5000), bench.host.pool.used
    bench.feed(*(piece(*what) for what in pieces))
    assert bench.receive(at) == -structs.WOULD_BLOCK and bench.host.pool.used == before


def test_a_mark_of_congestion_on_a_fragment_counts_for_all(bench):
    at, body = bench.socket(5000), udp_body(b"x" * 200)
    marked = frames.ip("10.0.0.2", "10.0.0.1", 17, body[:104], tos=3, ident=4, fragment=0x2000)
    bench.feed(marked, frames.ip("10.0.0.2", "10.0.0.1", 17, body[104:], ident=4, fragment=13))
    assert structs.Datagram.from_address(udp_user.first(bench.stack.udp, at)).traffic_class == 3


@pytest.mark.parametrize("length", [7, 4, 200])
def test_lengths_of_udp_that_cannot_be(bench, length):
    at, packet = bench.socket(5000), bytearray(frames.udp("10.0.0.2", "10.0.0.1", (9, 5000), b"hello"))
    packet[24:26] = struct.pack(">H", length)
    bench.feed(bytes(packet), frames.ip("10.0.0.2", "10.0.0.1", 17, b"short"))
    assert bench.receive(at) == -structs.WOULD_BLOCK and bench.stack.udp.bad == 2
