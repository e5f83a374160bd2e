"""Parts for themselves, against plain models: pool, outbox, ports, tables, ranges, congestion controls."""

import ctypes

from frames import words
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from pair import MS, SECOND, Pair, Wire

from libos.net import structs, udp_user
from libos.net.host import Host
from libos.net.outbox import Outbox
from libos.net.pool import Pool
from libos.net.tcp import user
from libos.net.tcp.engine import Engine


class PoolModel(RuleBasedStateMachine):
    """Blocks never overlap, are zero when taken, and are found again."""

    def __init__(self):
        super().__init__()
        self.pool = Pool(1 << 24)
        self.blocks = {}

    @rule(size=st.sampled_from([1, 64, 65, 1000, 5000, 70000]))
    def take(self, size):
        at = self.pool.take(size)
        if not at:
            return
        assert ctypes.string_at(at, size) == bytes(size)
        for other, length in self.blocks.items():
            assert at + size <= other or other + length <= at
        ctypes.memset(at, 0xEE, size)
        self.blocks[at] = size

    @precondition(lambda self: self.blocks)
    @rule(data=st.data())
    def give(self, data):
        at = data.draw(st.sampled_from(sorted(self.blocks)))
        assert ctypes.string_at(at, self.blocks[at]) == b"\xee" * self.blocks[at]
        self.pool.give(at, self.blocks.pop(at))

    def teardown(self):
        for at, size in self.blocks.items():
            self.pool.give(at, size)
        assert self.pool.used == 0
        self.pool.close()


TestPool = PoolModel.TestCase
TestPool.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


def test_a_pool_has_an_end():
    pool = Pool(1 << 20)
    assert pool.take(1 << 20) == 0
    taken = [pool.take(65536) for _ in range(20)]
    assert 0 in taken and taken[0]
    pool.give(taken[0], 65536)
    assert pool.take(65536) == taken[0]
    pool.close()


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=60), st.none()), max_size=60))
def test_an_outbox_is_a_queue(frames):
    pool = Pool(1 << 20)
    out, model = Outbox(pool, 8, 60), []
    for frame in frames:
        if frame is None:
            if model:
                assert ctypes.string_at(out.frame(0), out.length(0)) == model.pop(0)
                out.drop(1)
            continue
        buffer = ctypes.create_string_buffer(frame, len(frame))
        fits = out.put(ctypes.addressof(buffer), len(frame))
        assert fits == (len(model) < 8)
        if fits:
            model.append(frame)
    assert out.contents() == model
    pool.close()


def fresh():
    host = Host(1, 1500, b"h" * 16, 1 << 24, 16)
    host.add_address(*words("10.0.0.1"), 120)
    return host


def test_ports_are_spread_and_never_twice():
    host = fresh()
    engine = Engine(host)
    ports = set()
    for _ in range(200):
        at = user.open(engine, 4)
        assert user.bind(engine, at, 0, 0, 0) == 0
        ports.add(structs.Tcb.from_address(at).local_port)
    assert len(ports) == 200 and all(32768 <= port <= 60999 for port in ports)
    assert max(ports) - min(ports) > 14000
    host.close()


def test_no_port_is_left():
    host = fresh()
    engine = Engine(host)
    engine.port_low = engine.port_high = 40000
    assert user.bind(engine, user.open(engine, 4), 0, 0, 0) == 0
    assert user.bind(engine, user.open(engine, 4), 0, 0, 0) == -structs.IN_USE
    host.close()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25))
def test_many_connections_are_found_and_timed(seed, count):
    """The table of connections and the heap of deadlines, by what they are for: each gets its own octets, all end."""
    pair = Pair(Wire(seed, jitter=0.2))
    listener = pair.listen(backlog=64)
    clients = [pair.connect() for _ in range(count)]
    assert pair.run(10, lambda: all(c.state == structs.ESTABLISHED for c in clients))
    pair.run(1)
    for i, client in enumerate(clients):
        assert client.send(b"%d" % i * 10) > 0
    pair.run(1)
    servers = [listener.accept() for _ in clients]
    texts = sorted(server.receive() for server in servers)
    assert texts == sorted(b"%d" % i * 10 for i in range(count))
    for end in clients + servers:
        end.close()
    pair.run(200)
    assert [stack.tcp.connections for stack in pair.stacks] == [0, 1]
    assert [stack.tcp.deadlines.count for stack in pair.stacks] == [0, 0]
    pair.close()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=40))
def test_segments_in_any_order_make_the_stream(seed, pieces):
    """Whatever ranges come in whatever order: what is in order can be read, and is right."""
    import script

    runner = script.Runner()
    runner.call_accepted("mss 1000", "sackOK")
    runner.out.clear()
    had, read = set(), 0
    for start, length in pieces:
        runner.inject(runner.segment(f". {start * 10 + 1}:{(start + length) * 10 + 1}({length * 10}) ack 1"))
        c = structs.Tcb.from_address(runner.sockets[4])
        had |= set(range(start, start + length))
        expected = next(i for i in range(100) if i not in had) * 10
        if c.hole_count < structs.HOLES:
            assert (c.rcv_nxt - script.PEER_ISN - 1) % 2**32 == expected
        holes = [(c.hole_left[i], c.hole_right[i]) for i in range(c.hole_count)]
        edges = [(edge - c.rcv_nxt) % 2**32 for hole in holes for edge in hole]
        assert edges == sorted(set(edges)) and (not edges or edges[0] > 0)
        n = runner.call_read("4", "100000")
        read += max(n, 0)
    assert read == (structs.Tcb.from_address(runner.sockets[4]).rcv_nxt - script.PEER_ISN - 1) % 2**32
    runner.close()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=30, unique=True), st.randoms(use_true_random=False))
def test_timers_fire_in_their_order(idle, choice):
    """The heap of deadlines: each connection's keep-alive comes when it is due, whoever else has gone meanwhile."""
    pair = Pair(Wire(1))
    listener = pair.listen(backlog=64)
    clients = [pair.connect() for _ in idle]
    pair.run(1)
    servers = [listener.accept() for _ in idle]
    start, seen = pair.now, {}
    for client, seconds in zip(clients, idle, strict=True):
        client.record.keep_idle = seconds
        client.option(structs.KEEPALIVE)
    gone = [i for i in range(len(idle)) if choice.random() < 0.4]
    expected = {c.record.local_port: idle[i] for i, c in enumerate(clients) if i not in gone}
    for i in gone:
        user.abort(clients[i].tcp, clients[i].address)
    pair.run(0.1)
    send = pair.wire.send

    def noted(to, frame, now):
        if to == 1:
            seen.setdefault(int.from_bytes(frame[34:36], "big"), (now - start) / SECOND)
        send(to, frame, now)

    pair.wire.send = noted
    pair.run(301, lambda: len(seen) == len(expected))
    assert seen == expected
    for end in servers:
        end.close()
    pair.close()


def test_cubic_comes_back_to_where_it_lost():
    """After a loss the window grows fast, is flat near the last maximum, and then grows again: RFC 9438, figure 2."""
    pair = Pair(Wire(1, delay=100 * MS, gap=100_000, queue=10**6))
    client, server = pair.connected()
    c = client.record
    c.cwnd, c.ssthresh, c.cubic_max = 21 * c.mss, 21 * c.mss, 30 * c.mss
    c.cubic_last, c.cubic_start = 30 * c.mss, 0
    windows = []
    start = pair.now
    while pair.now - start < 4 * SECOND:
        client.send(b"x" * 60_000)
        pair.run(0.05)
        server.receive()
        windows.append((pair.now - start, c.cwnd / c.mss))
    k = (9 / 0.4) ** (1 / 3)
    for moment, window in windows:
        t = moment / SECOND
        cubic = 30 + 0.4 * (t - k) ** 3
        if 0.5 < t:
            assert abs(window - cubic) < 0.1 * cubic, (t, window, cubic)
    pair.close()


def test_vegas_leaves_the_queue_short():
    """The worked example does what it is for: with it fewer frames wait on the way than with NewReno."""
    waits = {}
    for control in (structs.NEWRENO, structs.VEGAS):
        pair = Pair(Wire(6, delay=20 * MS, gap=8_000_000, queue=40))
        pair.stacks[0].tcp.congestion = control
        client, server = pair.connected()
        client.record.ssthresh = 25 * client.record.mss
        longest = []
        for _ in range(80):
            client.send(b"x" * 50_000)
            pair.run(0.1)
            server.receive()
            longest.append(max(0, pair.wire.busy[1] - pair.now) / MS)
        waits[control] = sum(longest[40:]) / 40
        pair.close()
    assert waits[structs.VEGAS] < 0.5 * waits[structs.NEWRENO]


def test_a_long_run_of_datagrams_gives_all_memory_back():
    pair = Pair(Wire(1))
    here = udp_user.open(pair.stacks[0].udp, 4)
    there = udp_user.open(pair.stacks[1].udp, 4)
    assert udp_user.bind(pair.stacks[1].udp, there, 0, 0, 9) == 0
    data = ctypes.create_string_buffer(b"d" * 1000, 1000)
    used = None
    for i in range(300):
        assert udp_user.send(pair.stacks[0].udp, here, ctypes.addressof(data), 1000, *pair.address(1), 9) == 1000
        pair.run(0.01)
        assert udp_user.receive_into(pair.stacks[1].udp, there, ctypes.addressof(data), 1000) == 1000
        if i == 10:
            used = pair.stacks[1].host.pool.used
    assert pair.stacks[1].host.pool.used == used
    pair.close()


def test_a_wider_reordering_window_is_not_for_ever():
    """RFC 8985, section 6.2, step 4: after a DSACK sixteen recoveries without another."""
    import script

    runner = script.Runner()
    runner.call_connected("mss 1000", "sackOK")
    c, end = structs.Tcb.from_address(runner.sockets[3]), 1

    def answered(blocks=""):
        nonlocal end
        runner.call_write("3", "100")
        runner.advance(runner.now + (0 if blocks else SECOND))  # without: a probe and a time-out
        end += 100
        runner.inject(runner.segment(f". 1:1(0) ack {end} win 65535{blocks}"))

    answered(" <sack 1:101>")
    assert (c.rack_steps, c.rack_persist) == (2, 16)
    for left in range(15, -1, -1):
        answered()
        assert (c.rack_steps, c.rack_persist) == (2 if left else 1, left)
    answered()
    assert (c.rack_steps, c.rack_persist) == (1, 0)
    runner.close()
