"""Two stacks and a wire between them: streams arrive whole, in order and once, whatever the wire does."""

import ctypes
import os
import random
import subprocess
import sys
from pathlib import Path

import frames
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pair import ADDRESSES, MS, End, Pair, Wire

from libos.net import structs
from libos.net.tcp import closing, user

SIZE = 200_000
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def stream(seed, size=SIZE):
    return random.Random(seed).randbytes(size)


def transfer(pair, sender, receiver, data, seconds=600, piece=20_000):
    """Send it all and end the stream: what arrived."""
    state = {"sent": 0, "got": bytearray(), "end": False}

    def turn():
        while state["sent"] < len(data):
            n = sender.send(data[state["sent"] : state["sent"] + piece])
            if n < 0:
                assert n == -structs.WOULD_BLOCK
                break
            state["sent"] += n
            if state["sent"] == len(data):
                sender.shutdown()
        while (part := receiver.receive()) is not None:
            if part == b"":
                state["end"] = True
                break
            state["got"] += part
        return state["end"]

    assert pair.run(seconds, turn), f"{len(state['got'])} of {len(data)} octets came"
    return bytes(state["got"])


WIRES = {
    "clean": {},
    "loss 2 %": {"loss": 0.02},
    "loss 20 %": {"loss": 0.2},
    "reordered": {"jitter": 0.1},
    "repeated": {"twice": 0.1},
    "all at once": {"loss": 0.05, "jitter": 0.05, "twice": 0.05},
    "narrow": {"gap": 100_000, "queue": 20},
}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_arrives_whole(wire, family):
    pair = Pair(Wire(7, **WIRES[wire]), family)
    client, server = pair.connected()
    data = stream(wire)
    assert transfer(pair, client, server, data) == data
    back = stream(wire + "back", 50_000)
    assert transfer(pair, server, client, back) == back
    client.close(), server.close()
    pair.run(200)
    assert [stack.tcp.connections for stack in pair.stacks] == [0, 1]
    pair.close()


@pytest.mark.parametrize("congestion", [structs.NEWRENO, structs.CUBIC, structs.VEGAS])
@pytest.mark.parametrize("sack", [True, False])
def test_every_congestion_control_gets_through(congestion, sack):
    pair = Pair(Wire(3, loss=0.03, gap=20_000, queue=30))
    for stack in pair.stacks:
        stack.tcp.congestion = congestion
    client, server = pair.connected()
    if not sack:
        for end in (client, server):
            end.record.flags &= ~structs.SACK
    data = stream(congestion)
    assert transfer(pair, client, server, data) == data
    pair.close()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0, 0.01, 0.1, 0.3]),
    jitter=st.sampled_from([0, 0.05, 0.3]),
    twice=st.sampled_from([0, 0.1]),
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=12),
    nodelay=st.booleans(),
)
def test_any_writes_over_any_wire(seed, loss, jitter, twice, sizes, nodelay):
    wire = Wire(seed, jitter=jitter, twice=twice)
    pair = Pair(wire)
    client, server = pair.connected()
    wire.loss = loss  # not before: a handshake may be given up
    client.option(structs.NODELAY, nodelay)
    data = stream(seed, sum(sizes))
    done = 0
    got = bytearray()
    for size in sizes:
        assert client.send(data[done : done + size]) == size
        done += size
        pair.run(0.001)
        got += server.receive() or b""
    client.shutdown()

    def turn():
        nonlocal got
        part = server.receive()
        got += part or b""
        return part == b""

    assert pair.run(600, turn)
    assert got == data
    pair.close()


def test_the_same_seed_gives_the_same_frames():
    def trace():
        pair = Pair(Wire(11, loss=0.1, jitter=0.1))
        frames = []
        send = pair.wire.send
        pair.wire.send = lambda to, frame, now: (frames.append((now, to, frame)), send(to, frame, now))
        client, server = pair.connected()
        transfer(pair, client, server, stream(1, 50_000))
        pair.close()
        return frames

    assert trace() == trace()


def test_both_modes_send_the_same_frames():
    """Compiled code and interpreted code agree on every octet and every nanosecond."""
    traces = set()
    for pure in ("", "1"):
        if not pure and not any(path.suffix == ".so" for path in (ROOT / "libos").iterdir()):
            pytest.skip("nothing is compiled here")
        env = os.environ | {"CATFLAP_PURE": pure, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, HERE / "trace.py"], env=env, capture_output=True, text=True, check=True)
        mode, _, digest = done.stdout.partition(" ")
        assert mode == ("interpreted" if pure else "compiled")
        traces.add(digest)
    assert len(traces) == 1


def test_a_smaller_way_for_ipv6():
    """Packet too big (RFC 8201): what was too large goes out again in smaller segments, and all arrives."""
    pair = Pair(Wire(4), 6)
    send = pair.wire.send

    def narrow(to, frame, now):
        if len(frame) <= 1314:
            send(to, frame, now)
        elif to == 1:
            them, us = ADDRESSES[6][1], ADDRESSES[6][0]
            too_big = frames.icmp(them, us, 2, 0, (1300).to_bytes(4, "big"), frame[14:1000])
            send(0, frames.ethernet(0x020000000001, 0x020000000002, too_big), now)

    pair.wire.send = narrow
    client, server = pair.connected()
    data = stream("narrow", 30_000)
    assert transfer(pair, client, server, data, 20) == data
    assert client.record.mss == 1240
    pair.close()


def test_a_neighbor_moves():
    """Segments go to where a neighbor says that it is by now."""
    pair = Pair(Wire(1), known=False)
    client, server = pair.connected()
    client.send(b"x")
    pair.flush()
    pair.run(1)
    there, here = (0x0200000000AA).to_bytes(6, "big"), frames.packed(ADDRESSES[4][1])
    moved = b"\xff" * 6 + there + b"\x08\x06" + bytes.fromhex("0001080006040001") + there + here + b"\0" * 6 + here
    pair.wire.send(0, moved, pair.now)
    pair.run(0.01)
    targets = []
    pair.wire.send = lambda to, frame, now: targets.append(frame[:6])
    client.send(b"y")
    pair.flush()
    assert targets == [there]
    pair.close()


def test_small_window_and_slow_reader():
    pair = Pair(Wire(5, loss=0.02))
    pair.stacks[1].tcp.rx_limit = 5000
    client, server = pair.connected()
    data = stream(9, 60_000)
    sent, got = 0, bytearray()

    def turn():
        nonlocal sent
        if sent < len(data):
            sent += max(0, client.send(data[sent : sent + 3000]))
            if sent == len(data):
                client.shutdown()
        part = server.receive(700)
        got.extend(part or b"")
        return part == b""

    assert pair.run(900, turn)
    assert bytes(got) == data
    pair.close()


def test_both_ways_at_once():
    pair = Pair(Wire(8, loss=0.05, jitter=0.02))
    client, server = pair.connected()
    there, back = stream("there", 80_000), stream("back", 80_000)
    ends = [(client, there, bytearray()), (server, back, bytearray())]
    sent = [0, 0]

    def turn():
        over = 0
        for i, (end, data, got) in enumerate(ends):
            if sent[i] < len(data):
                sent[i] += max(0, end.send(data[sent[i] : sent[i] + 9000]))
                if sent[i] == len(data):
                    end.shutdown()
            part = end.receive()
            got.extend(part or b"")
            over += part == b""
        return over == 2

    assert pair.run(600, turn)
    assert bytes(ends[0][2]) == back and bytes(ends[1][2]) == there
    pair.close()


def test_idle_connections_are_small():
    pair = Pair(Wire(1))
    listener = pair.listen(backlog=200)
    before = [stack.host.pool.used for stack in pair.stacks]
    clients = [pair.connect() for _ in range(100)]
    pair.run(1)
    servers = [listener.accept() for _ in clients]
    for client in clients:
        assert client.send(b"x" * 30_000) == 30_000
    pair.run(1)
    for server in servers:
        assert len(server.receive()) == 30_000
        server.send(b"y" * 64)
    pair.run(5)
    for client in clients:
        assert len(client.receive()) == 64
    pair.run(5)
    for stack, start in zip(pair.stacks, before, strict=True):
        assert (stack.host.pool.used - start) / 100 <= 4096
    pair.close()


def test_time_wait_has_an_end():
    """Of too many in TIME-WAIT the oldest goes; the others stay their minute."""
    pair = Pair(Wire(1))
    tcp = pair.stacks[0].tcp
    tcp.time_wait_limit = 2
    listener = pair.listen()
    ports = []
    for _ in range(4):
        client = pair.connect()
        assert pair.run(1, lambda: listener.ready)
        server = listener.accept()
        ports.append(client.record.local_port)
        client.close()
        pair.run(1)
        server.close()
        pair.run(1)
    assert tcp.connections == 2
    found = [tcp.find(*pair.address(0), port, *pair.address(1), 80) for port in ports]
    assert [at != 0 for at in found] == [False, False, True, True]
    pair.run(61)
    assert tcp.connections == 0
    pair.close()


def test_a_full_path_is_used():
    """10 Mbit/s, 20 ms: CUBIC keeps the wire busy."""
    pair = Pair(Wire(2, delay=10 * MS, gap=1_200_000, queue=60))
    client, server = pair.connected()
    start = pair.now
    data = stream(4, 1_000_000)
    assert transfer(pair, client, server, data) == data
    rate = len(data) * 8 / ((pair.now - start) / 1e9)
    assert rate > 8e6
    pair.close()


@pytest.mark.parametrize("name", ["10.0.0.1", "127.0.0.1", "fd00::1", "::1"])
def test_a_stream_to_ourselves(name):
    """Over the loopback: nothing goes out, nothing is lost, though the window is larger than what it holds."""
    pair = Pair(Wire(1), 6 if ":" in name else 4)
    pair.wire.send = None  # nothing may
    pair.address = lambda i: frames.words(name)
    listener, client = pair.listen(0), pair.connect(0)
    assert pair.run(1, lambda: client.state >= structs.ESTABLISHED and listener.ready)
    server = listener.accept()
    data = stream(name, 900_000)
    assert transfer(pair, client, server, data, 5, 900_000) == data
    assert pair.stacks[0].tcp.retransmitted == 0
    client.close(), server.close(), listener.close()
    pair.run(61)
    assert pair.stacks[0].tcp.connections == 0
    pair.close()


def test_a_connection_with_itself():
    """One socket that is its own peer: a simultaneous open (RFC 9293, figure 8) on one record."""
    pair = Pair(Wire(1))
    tcp = pair.stacks[0].tcp
    c = user.open(tcp, 4)
    assert user.bind(tcp, c, *pair.address(0), 4000) == 0
    assert user.connect(tcp, c, *pair.address(0), 4000) == -structs.IN_PROGRESS
    end = End(pair, 0, c)
    assert pair.run(1, lambda: end.state == structs.ESTABLISHED)
    assert end.send(b"to myself") == 9
    pair.run(0.1)
    assert end.receive() == b"to myself"
    end.shutdown()
    pair.run(0.1)
    assert end.receive() == b"" and end.state == structs.TIME_WAIT
    end.close()
    pair.run(61)
    assert tcp.connections == 0
    pair.close()


def test_a_stream_is_read_where_it_lies():
    """What a relay does: octets at `oldest`, as many as are in one piece, however the ring has turned."""
    pair = Pair(Wire(5))
    try:
        client, server = pair.connected()
        data, got = stream(9, 300_000), bytearray()
        sent = 0
        assert not closing.unanswered(client.tcp)
        while len(got) < len(data):
            while sent < len(data):
                room = user.sendable(client.tcp, client.address)
                n = client.send(data[sent : sent + room]) if room else 0
                assert n == min(room, len(data) - sent)
                if n == 0:
                    break
                sent += n
            assert closing.unanswered(client.tcp)
            assert pair.run(10, lambda: user.in_one_piece(server.tcp, server.address) > 0)
            count = min(user.in_one_piece(server.tcp, server.address), 7001)
            got += (ctypes.c_char * count).from_address(user.oldest(server.tcp, server.address)).raw
            user.taken(server.tcp, server.address, count)
        assert bytes(got) == data
        assert pair.run(10, lambda: not closing.unanswered(client.tcp))
    finally:
        pair.close()
