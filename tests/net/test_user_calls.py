"""Users' calls that can't be, addresses and ports that are shared or not, in both transports and families."""

import frames
import pytest
from bench import Bench
from frames import Segment, words

from libos.net import routes, structs, udp_user
from libos.net.host import Host
from libos.net.tcp import user
from libos.net.tcp.engine import Engine


@pytest.fixture
def tcp(bench):
    return bench.stack.tcp


@pytest.fixture
def udp(bench):
    return bench.stack.udp


def tcb(bench, family=4, port=0, address=None, options=0):
    at = user.open(bench.stack.tcp, family)
    structs.Tcb.from_address(at).options = options
    if port or address:
        assert user.bind(bench.stack.tcp, at, *(words(address) if address else (0, 0)), port) == 0
    return at


ANY4, ANY6, ONE4, OTHER4, ONE6 = (4, None), (6, None), (4, "10.0.0.1"), (4, "127.0.0.1"), (6, "fd00::1")


@pytest.mark.parametrize(
    "first, second, only6, taken",
    [
        (ANY4, ANY4, False, True),
        (ANY6, ANY4, False, True),  # both families
        (ANY4, ANY6, False, True),
        (ANY6, ANY4, True, False),
        (ANY4, ANY6, True, False),
        (ANY4, ONE4, False, True),
        (ONE4, ANY4, False, True),
        (ONE4, ONE4, False, True),
        (ONE4, OTHER4, False, False),
        (ANY6, ONE4, False, True),
        (ANY6, ONE4, True, False),
        (ANY4, ONE6, False, False),
    ],
)
def test_ports_of_tcp(bench, tcp, first, second, only6, taken):
    options = structs.V6_ONLY if only6 else 0
    tcb(bench, first[0], 8080, first[1], options)
    at = tcb(bench, second[0], options=options)
    high, low = words(second[1]) if second[1] else (0, 0)
    assert user.bind(tcp, at, high, low, 8080) == (-structs.IN_USE if taken else 0)


def test_calls_of_tcp_that_cannot_be(bench, tcp):
    at = tcb(bench)
    assert user.bind(tcp, at, *words("10.9.9.9"), 80) == -structs.ADDRESS_UNAVAILABLE
    assert user.accept(tcp, at) == -structs.INVALID
    assert user.send(tcp, at, bench.at, 1, False) == -structs.BROKEN_PIPE
    assert user.receive_into(tcp, at, bench.at, 1, False) == -structs.NOT_CONNECTED
    assert user.shutdown(tcp, at, True, True) == -structs.NOT_CONNECTED
    assert user.connect(tcp, at, *words("224.0.0.1"), 80) == -structs.NETWORK_UNREACHABLE
    assert user.connect(tcp, at, *words("10.0.0.255"), 80) == -structs.NETWORK_UNREACHABLE
    assert user.connect(tcp, at, *words("192.0.2.1"), 80) == -structs.NETWORK_UNREACHABLE
    assert user.bind(tcp, at, 0, 0, 8080) == 0 and user.bind(tcp, at, 0, 0, 8081) == -structs.INVALID
    assert user.listen(tcp, at, 5) == 0 and user.listen(tcp, at, 7) == 0
    assert structs.Tcb.from_address(at).backlog == 7
    assert user.connect(tcp, at, *words("10.0.0.2"), 80) == -structs.IS_CONNECTED
    active = tcb(bench)
    assert user.connect(tcp, active, *words("10.0.0.2"), 80) == -structs.IN_PROGRESS
    assert user.connect(tcp, active, *words("10.0.0.2"), 80) == -structs.ALREADY
    assert user.listen(tcp, active, 5) == user.bind(tcp, active, 0, 0, 1) == -structs.INVALID
    assert user.receive_urgent(tcp, active, bench.at, False) == -structs.INVALID


def test_no_port_is_left_to_connect_or_listen(bench, tcp):
    tcp.port_low = tcp.port_high = 40000
    tcb(bench, port=40000)
    at = tcb(bench)
    assert user.listen(tcp, at, 5) == -structs.IN_USE
    assert user.connect(tcp, at, *words("10.0.0.2"), 80) == -structs.ADDRESS_UNAVAILABLE


def test_a_pair_of_sockets_is_used_once(bench, tcp):
    results = []
    for _ in range(2):
        at = tcb(bench, port=40000, options=structs.REUSE_ADDRESS)
        results.append(user.connect(tcp, at, *words("10.0.0.2"), 80))
    assert results == [-structs.IN_PROGRESS, -structs.ADDRESS_UNAVAILABLE]


def test_the_second_who_listens(bench, tcp):
    first, second = (tcb(bench, port=80, options=structs.REUSE_ADDRESS) for _ in range(2))
    assert user.listen(tcp, first, 5) == 0 and user.listen(tcp, second, 5) == -structs.IN_USE
    user.shutdown(tcp, first, True, False)
    assert structs.Tcb.from_address(first).state == structs.CLOSED and user.listen(tcp, second, 5) == 0
    unbound = tcb(bench)
    assert user.listen(tcp, unbound, 5) == 0 and structs.Tcb.from_address(unbound).local_port >= 32768


def test_the_most_exact_listener_is_meant(bench, tcp):
    def listening(family, address):
        at = tcb(bench, family, 80, address, structs.REUSE_PORT)
        assert user.listen(tcp, at, 9) == 0
        return at

    def taken(ours, peer_port):
        """Which of the listeners has one half open more."""
        before = [structs.Tcb.from_address(at).half_open for at in listeners]
        peer = "fd00::2" if ":" in ours else "10.0.0.2"
        bench.feed(Segment("S", 1, 0, 1000, ports=(peer_port, 80)).packet(peer, ours))
        after = [structs.Tcb.from_address(at).half_open for at in listeners]
        return [a - b for a, b in zip(after, before, strict=True)].index(1)

    listeners = [listening(6, None)]
    assert taken("10.0.0.1", 1001) == 0, "IPv6's any is IPv4's as well"
    listeners.append(listening(4, None))
    assert taken("10.0.0.1", 1002) == 1 and taken("fd00::1", 1002) == 0
    listeners.append(listening(4, "10.0.0.1"))
    assert taken("10.0.0.1", 1003) == 2
    listeners.append(listening(4, "10.0.0.1"))
    assert {taken("10.0.0.1", port) for port in range(1004, 1016)} == {2, 3}, "the peer's address decides"
    user.close(tcp, listeners.pop(2))
    assert taken("10.0.0.1", 1016) == 2
    # another port in the same place of the table
    other = tcb(bench, port=80 + 256)
    assert user.listen(tcp, other, 1) == 0
    assert taken("10.0.0.1", 1017) == 2 and structs.Tcb.from_address(other).half_open == 0
    for at in [*listeners[::-1], other]:
        user.close(tcp, at)
    assert tcp.listeners == 0 and tcp.connections == 0


def test_a_table_grows(bench, tcp):
    """More connections than places: all are still found."""
    routes.add(bench.host, *words("0.0.0.0"), 96, *words("10.0.0.2"))
    found = {}
    for i in range(300):
        at, peer = tcb(bench), words(f"192.0.{i >> 8}.{i & 255}")
        assert user.connect(tcp, at, *peer, 80) == -structs.IN_PROGRESS
        bench.out()
        found[at] = (*words("10.0.0.1"), structs.Tcb.from_address(at).local_port, *peer, 80)
    assert tcp.bucket_count == 1024
    assert all(tcp.find(*sockets) == at for at, sockets in found.items())
    for at in found:
        user.close(tcp, at)
    assert tcp.connections == 0 and not any(tcp.find(*sockets) for sockets in found.values())


def test_no_memory():
    """A host whose memory is used up says so, and goes on once there is some."""
    host = Host(1, 1500, b"h" * 16, 1 << 19, 4)
    host.add_address(*words("10.0.0.1"), 120)
    engine = Engine(host)
    records = []
    while at := user.open(engine, 4):
        records.append(at)
    assert len(records) > 10
    while host.pool.take(64):
        pass
    assert user.connect(engine, records[0], *words("10.0.0.2"), 80) == -structs.NO_MEMORY
    user.close(engine, records.pop())
    assert user.open(engine, 4) != 0
    host.close()


def test_nobody_is_remembered_without_memory():
    """A SYN, a datagram, a fragment: what would have to be kept is dropped."""
    bench = Bench()
    listener, at = tcb(bench, port=80), bench.socket(5000)
    assert user.listen(bench.stack.tcp, listener, 9) == 0
    sizes = [1 << n for n in range(17, 5, -1)]
    taken = [(bench.host.pool.take(size), size) for size in sizes]
    for size in sizes:
        while block := bench.host.pool.take(size):
            taken.append((block, size))
    syn = Segment("S", 1, 0, 1000, ports=(1001, 80)).packet("10.0.0.2", "10.0.0.1")
    piece = frames.ip("10.0.0.2", "10.0.0.1", 17, b"x" * 64, ident=7, fragment=0x2000)
    stray = Segment(".", 1, 1, 1000, ports=(1001, 99)).packet("10.0.0.2", "10.0.0.1")
    assert bench.feed(syn, piece, stray, frames.udp("10.0.0.2", "10.0.0.1", (9, 5000), b"hello")) == []
    assert bench.receive(at) == -structs.WOULD_BLOCK and bench.stack.udp.dropped == 1
    assert udp_user.open(bench.stack.udp, 4) == 0
    assert bench.send(at, b"x", "10.0.0.77") == 1 and bench.out() == [], "nobody can wait for its neighbor"
    for block in taken:
        bench.host.pool.give(*block)
    assert len(bench.feed(syn)) == 1
    bench.host.close()


def test_calls_of_udp_that_cannot_be(bench, udp):
    at = bench.socket()
    assert bench.send(at, b"x", None, 0) == -structs.NOT_CONNECTED
    assert bench.send(at, b"x", "10.0.0.2", 0) == -structs.INVALID
    assert udp_user.connect(udp, at, *words("192.0.2.1"), 7) == -structs.NETWORK_UNREACHABLE
    assert udp_user.connect(udp, at, *words("10.0.0.255"), 7) == -structs.DENIED
    assert udp_user.leave(udp, at, *words("224.0.0.9")) == -structs.ADDRESS_UNAVAILABLE
    for i in range(structs.GROUPS):
        assert udp_user.join(udp, at, *words(f"224.0.1.{i}")) == 0
    assert udp_user.join(udp, at, *words("224.0.2.1")) == -structs.NO_MEMORY
    assert udp_user.bind(udp, at, 0, 0, 5000) == 0 and udp_user.bind(udp, at, 0, 0, 5001) == -structs.INVALID
    udp.port_low = udp.port_high = 5000
    other = bench.socket()
    assert udp_user.bind(udp, other, 0, 0, 0) == bench.send(other, b"x") == -structs.IN_USE
    assert udp_user.connect(udp, other, *words("10.0.0.2"), 7) == -structs.IN_USE


@pytest.mark.parametrize(
    "first, second, only6, taken",
    [
        (ANY4, ANY4, False, True),
        (ANY6, ANY4, False, True),
        (ANY6, ANY4, True, False),
        (ONE4, ONE4, False, True),
        (ONE4, OTHER4, False, False),
        (ANY4, ONE4, False, True),
    ],
)
def test_ports_of_udp(bench, udp, first, second, only6, taken):
    options = structs.V6_ONLY if only6 else 0
    bench.socket(5000, first[0], first[1], options)
    at = bench.socket(0, second[0], options=options)
    high, low = words(second[1]) if second[1] else (0, 0)
    assert udp_user.bind(udp, at, high, low, 5000) == (-structs.IN_USE if taken else 0)


def test_one_peer_and_everybody_again(bench, udp):
    at = bench.socket()
    assert udp_user.connect(udp, at, *words("10.0.0.2"), 7) == 0
    port = structs.Udp.from_address(at).local_port
    others = frames.udp("10.0.0.2", "10.0.0.1", (8, port), b"others")
    bench.feed(frames.udp("10.0.0.2", "10.0.0.1", (7, port), b"peer"))
    assert bench.receive(at) == b"peer"
    assert len(bench.feed(others)) == 1, "nobody else has the port"
    assert udp_user.disconnect(udp, at) == 0
    assert bench.feed(others) == [] and bench.receive(at) == b"others"


def test_families_of_sockets(bench, udp):
    """A socket of IPv6 hears IPv4 too, but for V6_ONLY; one of IPv4 never hears IPv6."""
    both, four, six = bench.socket(5000, 6), bench.socket(5001, 4), bench.socket(5002, 6, options=structs.V6_ONLY)
    for port in (5000, 5001, 5002):
        bench.feed(
            frames.udp("10.0.0.2", "10.0.0.1", (9, port), b"4"), frames.udp("fd00::2", "fd00::1", (9, port), b"6")
        )
    assert [bench.receive(at) for at in (both, both, four, six)] == [b"4", b"6", b"4", b"6"]
    assert bench.receive(four) == bench.receive(six) == -structs.WOULD_BLOCK


def test_who_hears_a_group(bench, udp):
    """Of those who have joined it: not one bound elsewhere, connected to others, or of the other family."""
    group, share = words("224.0.0.9"), structs.REUSE_ADDRESS
    member, elsewhere = bench.socket(5000, options=share), bench.socket(5000, 4, "10.0.0.1", share)
    other, exact = bench.socket(5000, options=share), bench.socket(5000, 4, "224.0.0.9", share)
    for at in (member, elsewhere, other, exact):
        assert udp_user.join(udp, at, *group) == 0
    udp_user.connect(udp, other, *words("10.0.0.7"), 9)
    packet = frames.udp("10.0.0.2", "224.0.0.9", (9, 5000), b"all")
    bench.feed(packet, target=0x01005E000009)
    heard = [bench.receive(at) for at in (member, elsewhere, other, exact)]
    assert heard == [b"all", -structs.WOULD_BLOCK, -structs.WOULD_BLOCK, b"all"]
    assert bench.send(exact, b"mine", "10.0.0.2") == 4
    assert frames.read(bench.out()[-1])[1] == "10.0.0.1", "a group can't be who speaks"


def test_a_device_that_takes_nothing(bench):
    """Frames wait in the outbox; whoever has more to send is told to wait, and nothing is half sent."""
    at = bench.socket(5000)
    capacity = bench.host.out.capacity
    for _ in range(capacity):
        assert bench.send(at, b"x") == 1
    assert bench.send(at, b"y") == bench.send(at, b"y" * 3000) == -structs.WOULD_BLOCK
    bench.stack.receive(bench.at, 0, bench.now)
    assert len(bench.out()) == capacity
    for _ in range(capacity - 2):
        assert bench.send(at, b"x") == 1
    assert bench.send(at, b"y" * 3000) == -structs.WOULD_BLOCK, "three fragments, two places"
    bench.out()
