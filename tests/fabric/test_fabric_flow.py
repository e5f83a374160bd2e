"""Flow control on a fabric that is slow, unfair, full and broken: nothing stops, overruns, is lost or starves."""

import random
import struct

import pytest
from endpoints import world
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from libos.fabric import structs

SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
NETWORKS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "delay": st.sampled_from([0, 1000, 50_000]),
        "jitter": st.sampled_from([0, 500, 200_000]),
        "refuse": st.sampled_from([0.0, 0.1, 0.6]),
        "patient": st.booleans(),
        "source": st.booleans(),
    }
)
SIZES = st.sampled_from([0, 1, 17, 511, 512, 513, 1024, 1025, 2000, 20000])
EAGER = st.sampled_from([512, 4096])  # with the second, some small messages are sent from where they lie


class Stream:
    """One direction of a connection: messages numbered, each byte of them known."""

    def __init__(self, node, at, other, there, number, sizes):
        self.node, self.at, self.other, self.there = node, at, other, there
        self.number, self.sizes = number, sizes
        self.pushed = self.arrived = 0

    def message(self, k):
        head = struct.pack("<II", self.number, k)
        return (head * (self.sizes[k] // 8 + 1))[: self.sizes[k]]

    def push(self, limit):
        while limit > 0 and self.pushed < len(self.sizes):
            data = self.message(self.pushed)
            at_once = self.pushed % 2 and self.node.push_at_once(self.at, data)
            if not at_once and self.node.push(self.at, data) != 0:
                return
            self.pushed += 1
            limit -= 1

    def take(self, limit):
        while limit and isinstance(data := self.other.pop(self.there), bytes):
            assert data == self.message(self.arrived), f"message {self.arrived} of {self.number}"
            self.arrived += 1
            limit -= 1

    @property
    def done(self):
        return self.arrived == len(self.sizes)


def connected(w, client, server, count, listener):
    here = [client.connect(server) for _ in range(count)]
    w.until(lambda: all(client.state(at) == structs.OPEN for at in here))
    w.settle(within=10**8)
    there = {}
    while at := server.machine.accept(listener):
        c = structs.connection(at)
        there[c.their_number] = at
    return [(at, there[structs.connection(at).number]) for at in here]


def overdrawn(node):
    return node.engine.receives.promised > node.engine.receives.posted


@SETTINGS
@given(
    network=NETWORKS,
    sizes=st.lists(st.lists(SIZES, min_size=1, max_size=40), min_size=1, max_size=6),
    window=st.sampled_from([1, 2, 5, 64]),
    sends=st.sampled_from([1, 3, 64]),
    requests=st.sampled_from([1, 4, 1024]),
    eager=EAGER,
    order=st.integers(0, 2**32),
)
@example(  # credits that can't be written yet are not tried again before time has gone on
    network={"seed": 8973, "delay": 50000, "patient": False, "source": True, "refuse": 0.0, "jitter": 0},
    sizes=[[0, 0], [0, 20000, 0, 0], [0, 511, 511, 1024, 20000, 17, 0, 0, 511, 1025, 2000], [2000, 512]],
    window=5,
    sends=3,
    requests=1,
    eager=4096,
    order=994142578,
)
def test_every_byte_in_order_whatever_happens(network, sizes, window, sends, requests, eager, order):
    """Both ways at once, users that push and take as they like, then half-closes and closes."""
    with world(**network) as w:
        client = w.node(window=window, sends=sends, requests=requests, eager=eager)
        server = w.node(window=window, sends=sends, requests=requests, eager=eager)
        listener = server.machine.listen(1, 1000)
        ends = connected(w, client, server, len(sizes), listener)
        streams = []
        for k, ((here, there), mine) in enumerate(zip(ends, sizes, strict=True)):
            streams.append(Stream(client, here, server, there, 2 * k, mine))
            streams.append(Stream(server, there, client, here, 2 * k + 1, mine[::-1]))
        chance = random.Random(order)
        for _ in range(30000):
            stream = chance.choice(streams)
            stream.push(chance.randint(0, 5))
            stream.take(chance.randint(0, 5))
            stream.node.finished(stream.at)
            assert not overdrawn(client) and not overdrawn(server)
            w.step()
            if all(stream.done for stream in streams):
                break
        assert all(stream.done for stream in streams), [(s.pushed, s.arrived, len(s.sizes)) for s in streams]
        assert w.network.waited == 0  # no message has come that was not expected
        for stream in streams:
            stream.node.machine.shutdown(stream.at)
        w.settle(within=10**9)
        for stream in streams:
            assert stream.node.pop(stream.at) == 0
            stream.node.machine.close(stream.at)
        w.settle(within=10**9)
        for stream in streams:
            stream.node.finished(stream.at)
        server.machine.close(listener)
        w.settle(within=10**9)
        w.at_rest()


@SETTINGS
@given(
    network=NETWORKS,
    faults=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 60), st.integers(1, 3)), min_size=1, max_size=4),
    sizes=st.lists(SIZES, min_size=5, max_size=30),
    eager=EAGER,
)
def test_failures_at_any_moment_lose_nothing_but_connections(network, faults, sizes, eager):
    """Any request may fail in any way. What has come is right, every push comes back, in the end nothing is left."""
    with world(**network) as w:
        client, server = w.node(eager=eager), w.node(eager=eager)
        listener = server.machine.listen(1, 1000)
        count = {}

        def fault(operation, length):
            k = count[operation] = count.get(operation, -1) + 1
            return next((status for kind, when, status in faults if kind == operation and when == k), None)

        for node in (client, server):
            node.fabric.fault = fault
        here = [client.connect(server) for _ in range(3)]
        streams = {}
        for turn in range(3000):
            w.step()
            while at := server.machine.accept(listener):
                number = structs.connection(at).their_number
                mine = next((at for at in here if at and structs.connection(at).number == number), None)
                if mine and client.state(mine) == structs.OPEN:
                    streams[mine] = Stream(client, mine, server, at, number, sizes)
                else:
                    server.machine.close(at)
            for stream in streams.values():
                stream.push(2)
                stream.take(3)
                client.finished(stream.at)
            if turn > 300 and all(stream.done for stream in streams.values()):
                break
            broken = [s for s in streams.values() if structs.BROKEN in (client.state(s.at), server.state(s.there))]
            if turn > 1000 and len(broken) == len(streams):
                break
        for node in (client, server):
            node.fabric.fault = None
            t = node.engine
            for k in range(t.connections.touched):
                c = structs.connection(t.connections.slot(k))
                if c.state != structs.FREE:
                    node.machine.abort(structs.self_of(c)) if c.state > structs.LISTENING else None
        server.machine.close(listener)
        w.settle(within=30 * client.engine.patience)
        for stream in streams.values():
            client.finished(stream.at)
        w.settle(within=30 * client.engine.patience)
        w.at_rest()


@pytest.mark.parametrize("jitter", [0, 20000])
def test_many_connections_share_alike(jitter):
    """One connection that pushes without end, and many that push a little: all of them go on."""
    with world(seed=5, delay=1000, jitter=jitter) as w:
        client = w.node(connections=300, requests=16, sends=16, items=16384)
        server = w.node(connections=300, items=16384)
        listener = server.machine.listen(1, 1000)
        ends = connected(w, client, server, 100, listener)
        streams = [Stream(client, here, server, there, k, [8] * 5000) for k, (here, there) in enumerate(ends)]
        greedy, others = streams[0], streams[1:]

        def go_on(messages, limit):
            """Until so many have arrived, of all; how many did of each."""
            before = [stream.arrived for stream in streams]
            while sum(stream.arrived for stream in streams) < sum(before) + messages:
                greedy.push(1000)
                for stream in others:
                    stream.push(limit - stream.pushed + stream.arrived)
                w.step()
                for stream in streams:
                    stream.take(1000)
                    client.finished(stream.at)
            return [stream.arrived - was for stream, was in zip(streams, before, strict=True)]

        first, *rest = go_on(5000, 20)
        assert max(rest) <= 2 * min(rest) and first <= 2 * min(rest), (first, min(rest), max(rest))
        parts = go_on(5000, 1000)  # when all of them want all there is
        assert max(parts) <= 2 * min(parts), (min(parts), max(parts))


def test_ten_thousand_connections_over_one_endpoint():
    """More than the fabric has receives for: a patient one has the messages wait."""
    count = 10000
    with world() as w:
        client = w.node(connections=count + 1, items=4 * count, receives=4096)
        server = w.node(connections=count + 1, items=4 * count, receives=4096)
        listener = server.machine.listen(1, 2 * count)
        ends = connected(w, client, server, count, listener)
        assert len(client.engine.regions.buffers.live) <= 4096 + 64
        for k, (here, _) in enumerate(ends):
            assert client.push(here, b"%d" % k) == 0
        w.settle(within=10**8)
        for k, (here, there) in enumerate(ends):
            assert server.pop(there) == b"%d" % k
            assert server.push(there, b"-%d" % k) == 0
            client.finished(here)
        w.settle(within=10**8)
        for k, (here, there) in enumerate(ends):
            assert client.pop(here) == b"-%d" % k
            server.finished(there)
            client.machine.close(here), server.machine.close(there)
        server.machine.close(listener)
        w.settle(within=10**8)
        w.at_rest()
