"""Several libOSes in one process: one wait for all of them, and queues of one into those of another."""

import socket
import threading
import time

import pytest

from libos.errors import Fail, Kind
from libos.factory import native
from libos.pdpix import LibOS
from libos.sgarray import SGArray


@pytest.fixture
def three():
    """(catloop, catnap, memory), beside each other."""
    catloop = native("catloop", worth=1)
    liboses = catloop, native("catnap", beside=catloop), LibOS(beside=catloop)
    yield liboses
    assert all(libos.heap.live() == 0 for libos in liboses)


def served(libos):
    """(a plain socket, the qd of its connection to the libOS)."""
    listener = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    libos.bind(listener, ("127.0.0.1", 0))
    libos.listen(listener)
    client = socket.create_connection(libos.getsockname(listener), 5)
    qd = libos.wait(libos.accept(listener), 5).value
    libos.close(listener)
    return client, qd


def test_one_wait_for_all(three):
    """Whichever has something ends the wait of a thread that sleeps for all of them."""
    catloop, catnap, memory = three
    (a, first), (b, second), third = served(catloop), served(catnap), memory.queue()
    assert len({first, second, third}) == 3
    tellers = {
        first: lambda: a.sendall(b"loop"),
        second: lambda: b.sendall(b"nap"),
        third: lambda: memory.push(third, SGArray.of(b"memory")),
    }
    qtokens = {qd: catnap.pop(qd) for qd in tellers}
    for qd in (first, third, second, second, first, third) * 3:
        threading.Timer(0.05, tellers[qd]).start()
        start = time.monotonic()
        waiting = [*qtokens.values()]
        index, result = memory.wait_any(waiting, 5)
        assert waiting[index] == qtokens[qd] and result.qd == qd and time.monotonic() - start < 2
        memory.sgafree(result.sga)
        qtokens[qd] = memory.pop(qd)
    for qd in tellers:
        catloop.close(qd)
    results = memory.wait_all([*qtokens.values()], 5)
    assert all(result.error.kind is Kind.CANCELED for result in results)


def test_a_time_out_of_all(three):
    catloop, catnap, memory = three
    _, qd = served(catnap)
    qtokens = [memory.pop(memory.queue()), catnap.pop(qd)]
    with pytest.raises(Fail) as caught:
        catloop.wait_any(qtokens, 0.1)
    assert caught.value.kind is Kind.TIMED_OUT
    for qtoken in qtokens:
        assert memory.cancel(qtoken)
    catnap.close(qd)


def test_from_one_into_another(three):
    """What comes by the network goes into memory, and from there into another network."""
    catloop, catnap, memory = three
    (a, first), (b, second), third = served(catloop), served(catnap), memory.queue(4)
    there, on = memory.qconnect(first, third), memory.qconnect(third, second)
    ends = [memory.pop(there), memory.pop(on)]
    content = bytes(range(256)) * 4000
    sending = threading.Thread(target=lambda: (a.sendall(content), a.shutdown(socket.SHUT_WR)))
    sending.start()
    relaying = threading.Thread(target=memory.wait, args=(ends[0], 20))
    relaying.start()
    got = b""
    b.settimeout(5)
    while len(got) < len(content):
        got += b.recv(1 << 20)
    sending.join()
    relaying.join()
    assert got == content
    for qd in (there, on, first, second, third):
        memory.close(qd)
    for qtoken in ends[1:]:
        memory.wait(qtoken, 5)
