"""PDPIX on Catloop: rings under connections of Python programs, and of unmodified ones at the other end."""

import socket
import threading
import time

import flap
import pytest

from libos import layout, raw
from libos.errors import Kind
from libos.factory import native
from libos.sgarray import SGArray


@pytest.fixture
def pair():
    """((libos, qd), (libos, qd)): the ends of one connection, each in a libOS of its own, both in the ring."""
    server, client = native("catloop", worth=1), native("catloop", worth=1)
    listener = server.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.bind(listener, ("127.0.0.1", 0))
    server.listen(listener)
    accepted = server.accept(listener)
    qd = client.socket(socket.AF_INET, socket.SOCK_STREAM)
    assert client.wait(client.connect(qd, server.getsockname(listener)), 5).error is None
    ends = (server, server.wait(accepted, 5).value), (client, qd)
    server.close(listener)
    for _ in range(20):
        for one, other in (ends, ends[::-1]):
            push(one, b"warm")
            assert pop(other) == b"warm"
    assert all(state(end, way) == layout.RING for end in ends for way in (layout.IN_STATE, layout.OUT_STATE))
    yield ends
    for libos, qd in ends:
        if qd in libos.queues:
            libos.close(qd)
        assert libos.heap.live() == 0


def state(end, offset):
    libos, qd = end
    return raw.load(libos.queue_of(qd).loop.end + offset)


def push(end, *buffers):
    libos, qd = end
    result = libos.wait(libos.push(qd, SGArray.of(*buffers)), 5)
    if result.error:
        raise result.error
    return result.value


def pop(end, size=65536, timeout=5):
    libos, qd = end
    result = libos.wait(libos.pop(qd, size), timeout)
    if result.error:
        raise result.error
    with result.sga as sga:
        return bytes(sga)


def test_bytes_go_past_the_kernel(pair):
    one, other = pair
    before = raw.kernel_sent(one[0].queue_of(one[1]).socket.fileno())
    assert push(one, b"scatter ", b"gather") == 14
    assert pop(other) == b"scatter gather"
    assert raw.kernel_sent(one[0].queue_of(one[1]).socket.fileno()) == before


def test_a_sleeper_is_woken_by_its_bell(pair):
    one, other = pair
    found = []
    waiting = threading.Thread(target=lambda: found.append(pop(other)))
    waiting.start()
    time.sleep(0.2)  # far longer than it spins
    start = time.monotonic()
    push(one, b"wake up")
    waiting.join(5)
    assert found == [b"wake up"] and time.monotonic() - start < 1


def test_a_push_larger_than_the_rings_sleeps_until_there_is_room(pair):
    one, other = pair
    content = bytes(range(256)) * 40000
    pushing = threading.Thread(target=push, args=(one, content))
    pushing.start()
    time.sleep(0.2)
    got = b""
    while len(got) < len(content):
        got += pop(other, 100000)
    pushing.join(5)
    assert got == content


def test_readiness_beside_the_operations(pair):
    (libos, qd), other = pair
    assert libos.ready(qd, 3) == 2 and libos.pending(qd) == 0 and libos.peek(qd) == b""
    push(other, b"look")
    assert libos.ready(qd, 3) == 3 and libos.pending(qd) == 4 and libos.peek(qd, 2) == b"lo"
    room = bytearray(9)
    assert libos.pop_into(qd, room) == 4 and room.startswith(b"look")


def test_half_an_end(pair):
    one, other = pair
    push(one, b"last words")
    one[0].shutdown(one[1], socket.SHUT_WR)
    assert pop(other) == b"last words" and pop(other) == b""
    push(other, b"heard")
    assert pop(one) == b"heard"


def test_a_close_with_unread_bytes_resets(pair):
    one, other = pair
    push(one, b"never read")
    other[0].close(other[1])
    with pytest.raises(Exception) as caught:
        pop(one)
    assert caught.value.kind is Kind.RESET


def test_an_unmodified_program_at_the_other_end():
    """redis under Catflap, asked by PDPIX: both go to the rings."""
    port = flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with flap.Program(argv, "catloop") as server:
        flap.wait_for_port(port, server)
        libos = native("catloop", worth=1)
        qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
        assert libos.wait(libos.connect(qd, ("127.0.0.1", port)), 5).error is None
        end = libos, qd
        for i in range(200):
            push(end, b"SET key %d\r\nGET key\r\n" % i)
            answer, wanted = b"", b"+OK\r\n$%d\r\n%d\r\n" % (len(str(i)), i)
            while len(answer) < len(wanted):
                answer += pop(end)
            assert answer == wanted
        assert state(end, layout.IN_STATE) == state(end, layout.OUT_STATE) == layout.RING
        libos.close(qd)
