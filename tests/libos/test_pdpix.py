"""PDPIX from plain Python: in-memory queues, and each libOS over loopback, TCP and UDP, IPv4 and IPv6."""

import os
import socket
import threading

import catmints
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libos.errors import Fail, Kind
from libos.factory import native
from libos.pdpix import FAILED, READABLE, LibOS
from libos.sgarray import SGArray


@pytest.fixture
def memory():
    return LibOS()


def made(name):
    """A libOS with sockets; under Catloop a connection is worth its rings at once, the others speak with themselves."""
    if name in catmints.KINDS:
        return catmints.made(name)
    if name == "catnip":
        return native("catnip", segment=f"pdpix-{os.getpid()}")
    return native("catnap") if name == "catnap" else native("catloop", worth=1)


STREAMS = ["catnap", "catloop", "catnip"]


@pytest.fixture(params=[*STREAMS, *catmints.KINDS])
def sockets(request):
    libos = made(request.param)
    yield libos
    if hasattr(libos, "shut"):
        libos.shut()


@pytest.fixture(params=STREAMS)
def streams(request):
    """A libOS whose connections are streams of bytes, and which has datagrams."""
    libos = made(request.param)
    yield libos
    if hasattr(libos, "shut"):
        libos.shut()


def connected(sockets, family=socket.AF_INET, host="127.0.0.1"):
    server = sockets.socket(family, socket.SOCK_STREAM)
    sockets.bind(server, (host, 0))
    sockets.listen(server)
    client = sockets.socket(family, socket.SOCK_STREAM)
    accepted, connected = sockets.accept(server), sockets.connect(client, sockets.getsockname(server))
    first, second = sockets.wait_all([accepted, connected], 5)
    assert second.error is None
    return server, client, first.value


def pop_all(libos, qd, size):
    got = b""
    while len(got) < size:
        result = libos.wait(libos.pop(qd), 5)
        got += bytes(result.sga)
        assert len(result.sga)
        libos.sgafree(result.sga)
    return got


@pytest.mark.parametrize("family, host", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_tcp_push_and_pop(sockets, family, host):
    server, client, peer = connected(sockets, family, host)
    assert sockets.wait(sockets.push(client, SGArray.of(b"scatter ", b"gather")), 5).value == 14
    assert pop_all(sockets, peer, 14) == b"scatter gather"
    sockets.close(client)
    end = sockets.wait(sockets.pop(peer), 5)
    assert len(end.sga) == 0
    sockets.sgafree(end.sga)
    sockets.close(peer)
    sockets.close(server)
    assert catmints.held(sockets) == 0


def test_a_push_larger_than_the_socket_buffers_blocks_and_completes(sockets):
    _, client, peer = connected(sockets)
    content = bytes(range(256)) * 40000
    pushed = sockets.push(client, SGArray.of(content))
    assert pop_all(sockets, peer, len(content)) == content
    assert sockets.wait(pushed, 5).value == len(content)
    assert sockets.counters["blocked"] > 0


def test_pops_complete_in_order(streams):
    _, client, peer = connected(streams)
    tokens = [streams.pop(peer, 1) for _ in range(5)]
    streams.wait(streams.push(client, SGArray.of(b"abcde")), 5)
    assert [bytes(r.sga) for r in streams.wait_all(tokens, 5)] == [b"a", b"b", b"c", b"d", b"e"]


def test_udp_datagrams_with_their_senders(streams):
    left, right = (streams.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for qd in (left, right):
        streams.bind(qd, ("127.0.0.1", 0))
    popped = streams.pop(right)
    streams.wait(streams.pushto(left, SGArray.of(b"one"), streams.getsockname(right)), 5)
    result = streams.wait(popped, 5)
    assert bytes(result.sga) == b"one" and result.address == streams.getsockname(left)
    with pytest.raises(Fail) as failure:
        streams.wait(streams.pop(right), 0.01)
    assert failure.value.kind is Kind.TIMED_OUT


def test_a_refused_connection_is_a_result(sockets):
    placeholder = socket.create_server(("127.0.0.1", 0))
    address = placeholder.getsockname()
    placeholder.close()
    client = sockets.socket(socket.AF_INET, socket.SOCK_STREAM)
    result = sockets.wait(sockets.connect(client, address), 5)
    assert result.opcode == FAILED and result.error.kind is Kind.REFUSED


def test_closing_completes_what_is_pending(sockets):
    _, _, peer = connected(sockets)
    tokens = [sockets.pop(peer), sockets.pop(peer), sockets.watch(peer, READABLE)]
    sockets.close(peer)
    assert [r.error.kind for r in sockets.wait_all(tokens, 1)] == [Kind.CANCELED] * 3
    with pytest.raises(Fail) as failure:
        sockets.pop(peer)
    assert failure.value.kind is Kind.BAD_QUEUE


def test_readiness_side(sockets):
    _, client, peer = connected(sockets)
    assert sockets.ready(peer, 3) == 2
    watched = sockets.watch(peer, READABLE)
    sockets.wait(sockets.push(client, SGArray.of(b"hello")), 5)
    assert sockets.wait(watched, 5).value == READABLE
    assert sockets.pending(peer) == 5 and sockets.peek(peer) == b"hello"
    buffer = bytearray(3)
    assert sockets.pop_into(peer, buffer) == 3 and buffer == b"hel"
    assert pop_all(sockets, peer, 2) == b"lo"
    with pytest.raises(Fail) as failure:
        sockets.pop_into(peer, buffer)
    assert failure.value.kind is Kind.WOULD_BLOCK


def test_misuse_is_refused_clearly(sockets, memory):
    for wrong in (lambda: sockets.socket(socket.AF_UNIX, socket.SOCK_STREAM), lambda: sockets.listen(sockets.queue())):
        with pytest.raises(Fail) as failure:
            wrong()
        assert failure.value.kind is Kind.UNSUPPORTED
    qd = memory.queue()
    for wrong in (
        lambda: memory.push(qd, b"bytes"),
        lambda: memory.push(qd, SGArray([])),
        lambda: memory.pop(qd, 0),
        lambda: memory.wait(12345),
        lambda: memory.wait_any([]),
        lambda: memory.sgaalloc(0),
    ):
        with pytest.raises(Fail) as failure:
            wrong()
        assert failure.value.kind is Kind.INVALID


def test_freeing_early_and_twice(memory):
    qd = memory.queue()
    sga = memory.sgaalloc(4096)
    sga.segments[0][:3] = b"abc"
    memory.wait(memory.push(qd, sga))
    memory.sgafree(sga)  # the queue still holds it
    assert memory.heap.live() == 1
    result = memory.wait(memory.pop(qd))
    assert bytes(result.sga)[:3] == b"abc"
    memory.sgafree(result.sga)
    assert memory.heap.live() == 0
    for array in (sga, result.sga):
        with pytest.raises(Fail):
            memory.sgafree(array)


def test_a_full_memory_queue_blocks_its_pushers(memory):
    qd = memory.queue(capacity=1)
    tokens = [memory.push(qd, SGArray.of(bytes([i]))) for i in range(3)]
    assert [bytes(memory.wait(memory.pop(qd)).sga) for _ in range(3)] == [b"\0", b"\1", b"\2"]
    assert [r.value for r in memory.wait_all(tokens)] == [1, 1, 1]


def test_one_thread_waiting_for_itself_is_told(memory):
    with pytest.raises(Fail) as failure:
        memory.wait(memory.pop(memory.queue()))
    assert failure.value.kind is Kind.TIMED_OUT


def test_a_pop_is_taken_back_after_a_while(sockets):
    _, client, peer = connected(sockets)
    assert sockets.within(sockets.pop(peer), 0.05) is None
    sockets.wait(sockets.push(client, SGArray.of(b"late")), 5)
    result = sockets.within(sockets.pop(peer), 5)
    assert bytes(result.sga) == b"late" and result.sga
    sockets.sgafree(result.sga)
    with pytest.raises(Fail) as caught:
        sockets.within(1 << 40, 0)
    assert caught.value.kind is Kind.INVALID
    sockets.close(client)
    with sockets.within(sockets.pop(peer), 5).sga as end:
        assert end and not len(end)


def test_each_completion_wakes_exactly_one_waiter(sockets):
    _, client, peer = connected(sockets)
    got, lock = [], threading.Lock()

    def worker():
        for _ in range(25):
            result = sockets.wait(sockets.pop(peer, 1), 10)
            with lock:
                got.append(bytes(result.sga))

    workers = [threading.Thread(target=worker) for _ in range(4)]
    for thread in workers:
        thread.start()
    for i in range(100):
        sockets.wait(sockets.push(client, SGArray.of(bytes([i]))), 10)
    for thread in workers:
        thread.join(20)
    assert sorted(got) == [bytes([i]) for i in range(100)]


def test_wait_any_is_fair(memory):
    queues = [memory.queue() for _ in range(4)]
    for _ in range(8):
        for qd in queues:
            memory.wait(memory.push(qd, SGArray.of(b"x")))
    served = []
    tokens = [memory.pop(qd) for qd in queues]
    for _ in range(16):
        index, result = memory.wait_any(tokens)
        served.append(index)
        tokens[index] = memory.pop(result.qd)
    assert all(served.count(i) >= 3 for i in range(4)), served


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["push", "pop", "wait"]), st.integers(0, 2)), max_size=60))
def test_memory_queues_keep_order_whatever_the_interleaving(steps):
    libos = LibOS()
    queues = [libos.queue(capacity=2) for _ in range(3)]
    sent, got = [[] for _ in queues], [[] for _ in queues]
    pops, pushes, serial = [[] for _ in queues], [], 0
    for step, i in steps:
        if step == "push":
            serial += 1
            sent[i].append(serial)
            pushes.append(libos.push(queues[i], SGArray.of(serial.to_bytes(4, "big"))))
        elif step == "pop":
            pops[i].append(libos.pop(queues[i]))
        else:
            libos.turn()
    for i, tokens in enumerate(pops):
        for token in tokens[: len(sent[i])]:
            got[i].append(int.from_bytes(bytes(libos.wait(token).sga), "big"))
        assert got[i] == sent[i][: len(tokens)]
