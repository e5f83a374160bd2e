"""Ends of upgraded connections: what is pushed is popped, on whatever way, also when a side leaves."""

import os
import socket
import time

import loops
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libos import calls, endpoint, layout, leaving, raw, rings, spine
from libos.catloop import Catloop

RING = layout.RING


def pattern(count, start):
    return bytes((start + i) * 7 + (start + i) // 251 & 0xFF for i in range(count))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_both_directions_move_to_the_ring(family):
    with loops.pair(family) as (left, right):
        for side in (left, right):
            assert raw.load(side.end + layout.IN_STATE) == RING
            assert raw.load(side.end + layout.OUT_STATE) == RING
        before = raw.kernel_sent(left.sock.fileno())
        assert left.push(b"by the ring") == 11
        assert right.pop(100) == b"by the ring"
        assert raw.kernel_sent(left.sock.fileno()) == before


def test_bytes_under_way_stay_in_order():
    """What the kernel still holds at the mark comes before the ring's first byte."""
    with loops.pair(upgraded=False) as (left, right):
        for i in range(14):
            left.push(pattern(100, i * 100))
            left.attend()
            right.attend()
        left.push(pattern(100, 1400))
        left.push(pattern(100, 1500))
        assert raw.load(left.end + layout.OUT_STATE) == RING
        assert right.drain(37) == pattern(1600, 0)


@pytest.mark.parametrize("replayed", [False, True])
def test_a_receive_is_short_only_where_no_more_is_there(replayed):
    """Kernel and ring, or kernel and what has gone back there: some programs take a short receive for the last."""
    with loops.pair(upgraded=False) as (left, right):
        for _ in range(14):
            left.attend()
            right.attend()
        left.sock.send(pattern(1400, 0))
        assert left.push(pattern(100, 1400)) == 100
        assert raw.load(left.end + layout.OUT_STATE) == RING
        assert raw.load(right.end + layout.IN_STATE) == layout.AGREED
        if replayed:
            leaving.stop_sending(left.end, True)
        assert right.pop(3000, calls.PEEK) == pattern(1500, 0)
        assert right.pop(3000) == pattern(1500, 0)
        assert left.push(b"more") == 4 and right.drain() == b"more"


@pytest.mark.skipif(endpoint.COMPILED, reason="reaches between two steps of a receive")
def test_a_sender_moves_and_ends_during_a_receive(monkeypatch):
    """The receive asks the kernel before there is a mark, and hears of the end of what the ring still has."""
    with loops.pair(upgraded=False) as (left, right):
        for _ in range(14):
            left.attend()
            right.attend()
        ask = spine.kernel_pop

        def moves_and_ends(*request):
            monkeypatch.setattr(spine, "kernel_pop", ask)
            assert left.push(pattern(900, 0)) == 900
            leaving.finish(left.end)  # as with more than the kernel can keep
            left.sock.shutdown(socket.SHUT_WR)
            return ask(*request)

        assert raw.load(right.end + layout.IN_STATE) == layout.AGREED
        monkeypatch.setattr(spine, "kernel_pop", moves_and_ends)
        assert right.pop(2000) == pattern(900, 0)
        assert right.pop(2000, calls.LOOK_NOW) == b""


def test_the_ring_grows_with_use():
    with loops.pair() as (left, right):
        sent = 0
        while (r := left.push(pattern(60000, sent))) > 0:
            sent += r
        time.sleep(0.002)  # a reader that has taken nothing meanwhile
        while (r := left.push(pattern(60000, sent))) > 0:
            sent += r
        assert raw.load(left.end + layout.OUT_LEVEL) == 2
        assert raw.load(left.end + layout.KEPT) - 70000 < sent <= layout.BIG
        assert right.drain(54321) == pattern(sent, 0)


def test_peek_takes_nothing():
    with loops.pair() as (left, right):
        left.push(b"look")
        assert right.pop(2, calls.PEEK) == b"lo"
        assert right.pop(9) == b"look"
        assert right.pop(9) == -calls.EAGAIN


def test_end_of_stream_comes_after_the_ring():
    with loops.pair() as (left, right):
        left.push(b"last")
        leaving.stop_sending(left.end, True)
        left.sock.shutdown(socket.SHUT_WR)
        assert right.pop(2) == b"la"
        assert right.pop(9) == b"st"
        assert right.pop(9, calls.LOOK_NOW) == b""
        assert right.push(b"still") == 5
        assert left.pop(9) == b"still"


def test_a_receiver_that_leaves_gets_the_rest_through_the_kernel():
    with loops.pair() as (left, right):
        left.push(pattern(70000, 0))
        assert right.pop(1000) == pattern(1000, 0)
        assert leaving.leave(right.end)
        assert endpoint.upgraded(right.end) is False or not endpoint.upgraded(right.end)
        assert leaving.settle(left.end)
        assert not leaving.leave(right.end)
        got = b""
        while len(got) < 69000:
            got += right.sock.recv(1 << 20)
        assert got == pattern(69000, 1000)
        assert left.push(b"more") == 4 and right.sock.recv(9) == b"more"
        assert right.push(b"back") == 4 and left.drain() == b"back"


def test_a_closed_peer_resets_when_bytes_were_unread():
    with loops.pair() as (left, right):
        left.push(b"never read")
        right.close()
        right.close = lambda: None
        assert left.pop(9, calls.LOOK_NOW) == -104
        assert left.push(b"x") in (-32, 1)


# --- random histories against a model: two byte strings ---
steps = st.one_of(
    st.tuples(st.just("push"), st.integers(0, 1), st.sampled_from([1, 7, 64, 900, 1024, 1025, 5000, 70000, 300000])),
    st.tuples(st.just("pop"), st.integers(0, 1), st.sampled_from([1, 7, 64, 900, 1024, 5000, 70000, 1 << 20])),
    st.tuples(st.just("attend"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("stretch"), st.integers(0, 1), st.just(0)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=10, max_size=80), st.booleans())
def test_random_histories(history, upgraded):
    with loops.pair(upgraded=upgraded) as sides:
        sent, taken = [0, 0], [0, 0]
        for step, who, size in history:
            side, other = sides[who], sides[1 - who]
            if step == "push":
                r = side.push(pattern(size, sent[who]))
                assert r > 0 or r == -calls.EAGAIN
                sent[who] += max(r, 0)
            elif step == "pop":
                got = side.pop(size, calls.LOOK_NOW)
                if isinstance(got, bytes):
                    assert got == pattern(len(got), taken[1 - who])
                    taken[1 - who] += len(got)
                else:
                    assert got == -calls.EAGAIN
            elif step == "leave":
                leaving.leave(side.end)
                leaving.settle(other.end)
            elif step == "stretch":
                if raw.load(side.end + layout.IN):
                    endpoint.stretch(side.end)
            else:
                side.attend()
        for who in (0, 1):
            for _ in range(200):
                leaving.settle(sides[who].end)
                got = sides[1 - who].drain()
                assert got == pattern(len(got), taken[who])
                taken[who] += len(got)
                if taken[who] == sent[who]:
                    break
            assert taken[who] == sent[who]


# --- a peer that scribbles: nothing but its own bytes are wrong ---
HEADER_WORDS = [0, 64, 128, 136, 144, 152, 192, 200, 208, 216, 256, 264, 320]
words = st.one_of(
    st.integers(0, 5000),
    st.integers(0, 1 << 64),
    st.sampled_from([1 << 63, 1 << 62, (1 << 64) - 1, (1 << 62) - 1, layout.BIG, layout.BIG + 1]),
).map(lambda value: value & (1 << 64) - 1)
scribbles = st.lists(
    st.tuples(st.sampled_from([0, layout.HEADER]), st.sampled_from(HEADER_WORDS), words), min_size=1, max_size=4
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(steps, scribbles), min_size=1, max_size=20), st.booleans())
def test_a_scribbling_peer_harms_its_own_connection_only(history, upgraded):
    with loops.pair(upgraded=upgraded) as (left, right), loops.pair() as (mine, other):
        if not upgraded:
            for _ in range(3):
                left.attend()
                right.attend()
        for (step, _, size), marks in history:
            base = raw.load(left.end + layout.BASE)
            for header, word, value in marks:
                if base:
                    raw.store(base + header + word, value)
            if step == "push":
                assert left.push(bytes(size)) <= size
            elif step == "pop":
                got = left.pop(size, calls.LOOK_NOW)
                assert not isinstance(got, bytes) or len(got) <= size
            elif step == "leave":
                leaving.leave(left.end)
            elif step == "stretch" and base:
                endpoint.stretch(left.end)
                leaving.settle(left.end)
            if base:
                endpoint.ready(left.end, 3)
                assert rings.inbound(left.end) <= layout.BIG and rings.outbound(left.end) <= layout.BIG
        mine.push(b"untouched")
        assert other.pop(100) == b"untouched"


def test_records_are_given_back():
    catloop = Catloop()
    ends = set()
    for _ in range(3):
        a, b = loops.tcp_pair()
        queue = catloop.adopt(a.fileno(), 1)
        ends.add(queue.end)
        catloop.release(queue)
        queue.owner = None
        catloop.freed(queue)
        assert raw.load(queue.end + layout.USERS) == 0
        a.close()
        b.close()
    assert len(ends) == 1  # what was never used takes no memory


def test_records_are_looked_through_as_far_as_they_were_used():
    """Each record that is read takes memory: with a few ends in use the rest of the table stays untouched."""
    catloop = Catloop()
    records = catloop.records
    ends = [records.claim() for _ in range(200)]
    assert len(set(ends)) == 200
    assert records.values(layout.OWNER) == {os.getpid()}
    for end in ends[50:60]:
        records.give_back(end)
    assert records.claim() in ends[50:60]
    assert records.sweep() == 0
    assert resident(records.table) < 200 * layout.RECORD + layout.FIRST + 8192


def resident(address):
    """Bytes in memory of the mapping that begins at an address (proc_pid_smaps(5))."""
    with open("/proc/self/smaps") as f:
        for line in f:
            if line.startswith(f"{address:x}-"):
                return next(int(size.split()[1]) * 1024 for size in f if size.startswith("Rss:"))


def test_a_child_gives_back_only_what_it_shares():
    catloop = Catloop()
    a, b = loops.tcp_pair()
    with a, b:
        queue = catloop.adopt(a.fileno(), 1)
        catloop.release(queue)
        catloop.shares = {other.qd for other in catloop.queues}  # as in a child forked before the queue was freed
        queue.owner = None
        catloop.freed(queue)
        assert raw.load(queue.end + layout.USERS) == 1


def test_the_layout_is_the_same_in_both_modes():
    import re
    from pathlib import Path

    from interpose import blocks

    for module, prefix in ((layout, "CATFLAP_L_"), (blocks, "CATFLAP_B_")):
        text = Path(module.__file__).with_suffix(".pxd").read_text()
        rows = dict(re.findall(rf"{prefix}(\w+) = (\d+),", text))
        small = {name: value for name, value in vars(module).items() if name.isupper() and value < 1 << 31}
        assert {name: int(value) for name, value in rows.items()} == small


def test_records_of_ended_processes_are_swept():
    import os
    import subprocess

    gone = subprocess.Popen(["true"])
    gone.wait()
    catloop = Catloop()
    kept, left = catloop.records.claim(), catloop.records.claim()
    for end in (kept, left):
        raw.store(end + layout.PIDS, gone.pid)
    raw.store(kept + layout.USERS, 2)
    raw.store(kept + layout.PIDS + 8, os.getpid())
    assert not catloop.records.alone(left) or raw.load(left + layout.USERS) == 1
    assert catloop.records.alone(kept)
    assert catloop.records.sweep() == 1
    assert raw.load(left + layout.USERS) == 0 and raw.load(kept + layout.USERS) == 2
    catloop.records.ends = 2
    catloop.records.next_end = 0
    assert catloop.records.claim() == left
    assert catloop.records.claim() == 0 and catloop.records.full
