"""Queues made of queues: order, back-pressure, end and failure; in memory, and over real TCP connections."""

import socket
import threading

import pytest

from libos.catnap import Catnap
from libos.errors import Fail, Kind
from libos.pdpix import FAILED, READABLE, LibOS
from libos.sgarray import SGArray


@pytest.fixture
def memory():
    libos = LibOS()
    yield libos
    assert libos.heap.live() == 0


@pytest.fixture
def catnap():
    libos = Catnap()
    yield libos
    assert libos.heap.live() == 0


def put(libos, qd, *texts):
    for text in texts:
        sga = libos.sgaalloc(len(text))
        sga.segments[0][:] = text
        assert libos.wait(libos.push(qd, sga), 5).error is None
        libos.sgafree(sga)


def get(libos, qd):
    """(bytes, value) of the next element; raises what it failed with."""
    result = libos.wait(libos.pop(qd), 5)
    if result.opcode == FAILED:
        raise result.error
    text = bytes(result.sga)
    libos.sgafree(result.sga)
    return text, result.value


def texts(libos, qd, count):
    return [get(libos, qd)[0] for _ in range(count)]


def nothing(libos, qd):
    """A pop of `qd` that waits."""
    qtoken = libos.pop(qd)
    with pytest.raises(Fail) as failure:
        libos.wait(qtoken, 0)
    assert failure.value.kind is Kind.TIMED_OUT
    return qtoken


class TestMerge:
    def test_everything_comes_out_once_in_the_order_of_its_source(self, memory):
        a, b = memory.queue(), memory.queue()
        merged = memory.merge(a, b)
        put(memory, a, b"a1", b"a2", b"a3")
        put(memory, b, b"b1")
        found = [get(memory, merged) for _ in range(4)]
        assert [text for text, qd in found if qd == a] == [b"a1", b"a2", b"a3"]
        assert [text for text, qd in found if qd == b] == [b"b1"]

    def test_a_busy_source_does_not_starve_the_other(self, memory):
        a, b = memory.queue(), memory.queue()
        merged = memory.merge(a, b)
        put(memory, a, *[b"a"] * 20)
        put(memory, b, *[b"b"] * 20)
        assert sorted(texts(memory, merged, 20)) == [b"a"] * 10 + [b"b"] * 10
        texts(memory, merged, 20)

    def test_a_pop_that_waits_gets_what_comes_first(self, memory):
        a, b = memory.queue(), memory.queue()
        merged = memory.merge(a, b)
        qtoken = nothing(memory, merged)
        put(memory, b, b"late")
        result = memory.wait(qtoken, 5)
        assert bytes(result.sga) == b"late" and result.value == b
        memory.sgafree(result.sga)

    def test_nothing_is_taken_before_somebody_pops(self, memory):
        a = memory.queue()
        merged = memory.merge(a, memory.queue())
        put(memory, a, b"one", b"two")
        assert memory.ready(a, READABLE)
        assert get(memory, merged) == (b"one", a)
        assert get(memory, a)[0] == b"two"  # it was left where it was

    def test_a_closed_source_ends_and_so_does_the_merge_with_the_last(self, memory):
        a, b = memory.queue(), memory.queue()
        merged = memory.merge(a, b)
        qtoken = nothing(memory, merged)
        memory.close(a)
        put(memory, b, b"still")
        result = memory.wait(qtoken, 5)
        assert bytes(result.sga) == b"still"
        memory.sgafree(result.sga)
        memory.close(b)
        assert get(memory, merged) == (b"", 0)

    def test_closing_it_leaves_the_sources_as_they_are(self, memory):
        a, b = memory.queue(), memory.queue()
        merged = memory.merge(a, b)
        qtoken = nothing(memory, merged)
        memory.close(merged)
        assert memory.wait(qtoken, 5).error.kind is Kind.CANCELED
        put(memory, a, b"mine")
        assert get(memory, a)[0] == b"mine"

    def test_of_nothing(self, memory):
        with pytest.raises(Fail):
            memory.merge()
        with pytest.raises(Fail):
            memory.merge(memory.queue(), 7)

    def test_nobody_pushes_into_it(self, memory):
        merged = memory.merge(memory.queue(), memory.queue())
        with pytest.raises(Fail) as failure:
            memory.push(merged, SGArray.of(b"x"))
        assert failure.value.kind is Kind.UNSUPPORTED


class TestFilter:
    def test_only_what_is_kept_comes_out(self, memory):
        source = memory.queue()
        kept = memory.filter(source, lambda sga: sga.segments[0][0] == ord("y"))
        put(memory, source, b"n1", b"y1", b"n2", b"n3", b"y2", b"n4")
        assert texts(memory, kept, 2) == [b"y1", b"y2"]
        qtoken = nothing(memory, kept)
        assert not memory.ready(source, READABLE)  # the last was dropped
        put(memory, source, b"n5", b"y3")
        result = memory.wait(qtoken, 5)
        assert bytes(result.sga) == b"y3"
        memory.sgafree(result.sga)

    def test_thousands_are_dropped_in_one_go(self, memory):
        source = memory.queue(5000)
        kept = memory.filter(source, lambda sga: len(sga) > 1)
        put(memory, source, *[b"n"] * 4000, b"yes")
        assert get(memory, kept)[0] == b"yes"

    def test_a_function_that_raises_fails_one_pop(self, memory):
        source = memory.queue()
        kept = memory.filter(source, lambda sga: 1 // (sga.segments[0][0] - ord("0")))
        put(memory, source, b"0", b"1")
        with pytest.raises(Fail, match="ZeroDivisionError"):
            get(memory, kept)
        assert get(memory, kept)[0] == b"1"

    def test_pushes_go_to_the_queue_below(self, memory):
        source = memory.queue()
        kept = memory.filter(source, lambda sga: True)
        put(memory, kept, b"through")
        assert get(memory, source)[0] == b"through"

    def test_pushes_wait_for_room_below(self, memory):
        source = memory.queue(1)
        kept = memory.filter(memory.filter(source, len), len)
        waiting = [memory.push(kept, SGArray.of(b"%d" % i)) for i in range(3)]
        assert texts(memory, source, 3) == [b"0", b"1", b"2"]
        assert all(result.error is None for result in memory.wait_all(waiting, 5))

    def test_pushes_end_with_the_queue_below_and_with_this_one(self, memory):
        for closed in range(2):
            source = memory.queue(1)
            kept = memory.filter(source, len)
            put(memory, source, b"full")
            waiting = memory.push(kept, SGArray.of(b"late"))
            memory.close((source, kept)[closed])
            assert memory.wait(waiting, 5).error.kind is Kind.CANCELED
            if not closed:
                late = memory.wait(memory.push(kept, SGArray.of(b"too late")), 5)
                assert late.error.kind is Kind.CANCELED
            assert not [o for o in memory.operations.values() if o.opcode == "WATCH"]
            memory.close((kept, source)[closed])


class TestMap:
    def test_in_place_and_by_a_new_array(self, memory):
        def upper(sga):
            sga.segments[0][:] = bytes(sga).upper()
            return sga

        def twice(sga):
            made = memory.sgaalloc(2 * len(sga))
            made.segments[0][:] = bytes(sga) * 2
            return made

        source = memory.queue()
        made = memory.map(memory.map(source, upper), twice)
        put(memory, source, b"ab", b"c")
        assert texts(memory, made, 2) == [b"ABAB", b"CC"]

    def test_a_function_that_returns_something_else(self, memory):
        source = memory.queue()
        made = memory.map(source, lambda sga: b"bytes")
        put(memory, source, b"x")
        with pytest.raises(Fail, match="scatter-gather"):
            get(memory, made)


class TestSort:
    def test_the_smallest_of_what_is_there(self, memory):
        source = memory.queue()
        ordered = memory.sort(source, key=bytes)
        put(memory, source, b"c", b"a", b"b")
        assert get(memory, ordered)[0] == b"a"
        put(memory, source, b"aa")
        assert texts(memory, ordered, 3) == [b"aa", b"b", b"c"]

    def test_equal_ones_keep_their_order(self, memory):
        source = memory.queue()
        ordered = memory.sort(source, key=len)
        put(memory, source, b"z", b"long", b"y", b"x")
        assert texts(memory, ordered, 4) == [b"z", b"y", b"x", b"long"]

    def test_it_holds_no_more_than_it_may(self, memory):
        source = memory.queue()
        ordered = memory.sort(source, key=bytes, capacity=2)
        put(memory, source, b"c", b"b", b"a")
        assert texts(memory, ordered, 3) == [b"b", b"a", b"c"]

    def test_keys_that_do_not_compare_fail_one_pop(self, memory):
        source = memory.queue()
        ordered = memory.sort(source, key=lambda sga: "text" if len(sga) > 1 else 1)
        put(memory, source, b"a", b"text", b"b")
        with pytest.raises(Fail, match="TypeError"):
            texts(memory, ordered, 3)
        assert texts(memory, ordered, 1) == [b"b"]

    def test_what_it_holds_is_freed_with_it(self, memory):
        source = memory.queue()
        ordered = memory.sort(source, key=bytes)
        put(memory, source, b"c", b"b", b"a")
        assert get(memory, ordered)[0] == b"a"
        memory.close(ordered)


class TestConnection:
    def test_elements_move_without_anybody_popping(self, memory):
        a, b = memory.queue(), memory.queue()
        memory.qconnect(a, b)
        put(memory, a, b"1", b"2", b"3")
        assert texts(memory, b, 3) == [b"1", b"2", b"3"]

    def test_thousands_at_once(self, memory):
        a, b = memory.queue(6000), memory.queue(6000)
        put(memory, a, *[b"x"] * 5000)
        memory.qconnect(a, b)
        assert texts(memory, b, 5000) == [b"x"] * 5000

    def test_a_full_sink_holds_the_source_back(self, memory):
        a, b = memory.queue(), memory.queue(2)
        connection = memory.qconnect(a, b)
        put(memory, a, *[b"%d" % i for i in range(8)])
        nothing(memory, connection)  # all that can move has moved
        waiting = 0
        while memory.ready(a, READABLE):  # what is left there
            get(memory, a)
            waiting += 1
        assert waiting == 8 - 3  # two in the sink, one on its way
        assert texts(memory, b, 3) == [b"0", b"1", b"2"]

    def test_its_pop_tells_the_end(self, memory):
        a, b = memory.queue(), memory.queue()
        connection = memory.qconnect(a, b)
        qtoken = nothing(memory, connection)
        memory.close(a)
        result = memory.wait(qtoken, 5)
        assert result.error is None and len(result.sga) == 0

    @pytest.mark.parametrize("before", [True, False])
    def test_a_sink_that_is_closed_fails_it(self, memory, before):
        """Before an element comes, and while one waits for room."""
        a, b = memory.queue(), memory.queue(1)
        connection = memory.qconnect(a, b)
        put(memory, a, b"1", b"2")
        qtoken = memory.pop(connection) if before else nothing(memory, connection)
        memory.close(b)
        assert memory.wait(qtoken, 5).error.kind is Kind.CANCELED
        memory.close(a)

    def test_taken_apart(self, memory):
        a, b = memory.queue(), memory.queue()
        connection = memory.qconnect(a, b)
        memory.close(connection)
        put(memory, a, b"stays")
        assert get(memory, a)[0] == b"stays"


def accepted(libos, count):
    """`count` connections of plain sockets to the libOS: ([client sockets], [qds])."""
    listener = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    libos.bind(listener, ("127.0.0.1", 0))
    libos.listen(listener)
    clients, qds = [], []
    for _ in range(count):
        clients.append(socket.create_connection(libos.getsockname(listener), 5))
        qds.append(libos.wait(libos.accept(listener), 5).value)
    libos.close(listener)
    return clients, qds


def test_a_filter_of_a_merge_serves_two_clients(catnap):
    """filter(merge(tcp_a, tcp_b)): each gets the answers to its own requests, and none to what is filtered out."""
    clients, qds = accepted(catnap, 2)
    requests = catnap.filter(catnap.merge(*qds), lambda sga: bytes(sga.segments[0][:3]) == b"ask")

    def serve(count):
        for _ in range(count):
            result = catnap.wait(catnap.pop(requests), 5)
            answer = SGArray.of(b"answer to " + bytes(result.sga)[4:])
            catnap.sgafree(result.sga)
            catnap.wait(catnap.push(result.value, answer), 5)

    server = threading.Thread(target=serve, args=(20,))
    server.start()
    for i in range(10):
        for name, client in zip("ab", clients, strict=True):
            client.sendall(b"ask %s%d" % (name.encode(), i))
            assert client.recv(100) == b"answer to %s%d" % (name.encode(), i)
    server.join()
    clients[0].sendall(b"nonsense")
    clients[0].close()
    clients[1].close()
    assert get(catnap, requests) == (b"", 0)


def test_a_slow_consumer_closes_the_window_of_the_producer(catnap):
    clients, qds = accepted(catnap, 2)
    merged = catnap.merge(*qds)
    qtoken = nothing(catnap, merged)
    clients[0].settimeout(0.5)
    block, sent = b"x" * 65536, 0
    with pytest.raises(TimeoutError):
        while sent < 1 << 30:
            sent += clients[0].send(block)
    result = catnap.wait(qtoken, 5)
    got = len(result.sga)
    catnap.sgafree(result.sga)
    while got < sent:
        text, origin = get(catnap, merged)
        assert origin == qds[0]
        got += len(text)
    clients[0].sendall(b"and on it goes")
    assert get(catnap, merged)[0] == b"and on it goes"
    for client in clients:
        client.close()


def test_two_connections_are_one_pipe(catnap):
    """What one client sends another receives, byte for byte, and back; the pipe ends with its ends."""
    clients, (a, b) = accepted(catnap, 2)
    there, back = catnap.qconnect(a, b), catnap.qconnect(b, a)
    content = bytes(range(256)) * 8192
    waits = [catnap.pop(there), catnap.pop(back)]

    def relay():
        catnap.wait_all(waits, 30)

    relaying = threading.Thread(target=relay)
    relaying.start()
    sender = threading.Thread(target=clients[0].sendall, args=(content,))
    sender.start()
    got = b""
    while len(got) < len(content):
        got += clients[1].recv(1 << 20)
    sender.join()
    assert got == content
    clients[1].sendall(b"thanks")
    assert clients[0].recv(100) == b"thanks"
    for client in clients:
        client.close()
    relaying.join()
