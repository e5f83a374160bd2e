"""The persistent wait set: results in the order of completion, each once, however many tokens there are."""

import threading

import pytest

from libos.errors import Fail, Kind
from libos.pdpix import LibOS
from libos.sgarray import SGArray


@pytest.fixture
def libos():
    libos = LibOS()
    yield libos
    assert libos.heap.live() == 0


def push(libos, qd, text):
    assert libos.wait(libos.push(qd, SGArray.of(text)), 5).error is None


def kind_of(call, *arguments):
    with pytest.raises(Fail) as failure:
        call(*arguments)
    return failure.value.kind


def test_in_the_order_of_completion(libos):
    queues = [libos.queue() for _ in range(5)]
    waiting = libos.wait_set()
    by_token = {}
    for qd in queues:
        qtoken = libos.pop(qd)
        by_token[qtoken] = qd
        waiting.add(qtoken)
    order = [queues[i] for i in (3, 0, 4, 2, 1)]
    for qd in order:
        push(libos, qd, b"x")
        assert libos.turn()
    found = []
    while len(waiting):
        result = waiting.wait(5)
        assert by_token[result.qtoken] == result.qd
        found.append(result.qd)
    assert found == order


def test_what_was_complete_before_it_was_added(libos):
    qd = libos.queue()
    push(libos, qd, b"early")
    waiting = libos.wait_set()
    waiting.add(libos.pop(qd))
    with waiting.wait(0).sga as sga:
        assert bytes(sga) == b"early"


def test_several_at_once(libos):
    qds = [libos.queue() for _ in range(10)]
    waiting = libos.wait_set()
    for qd in qds:
        waiting.add(libos.pop(qd))
    for qd in qds[:7]:
        push(libos, qd, b"x")
    assert libos.turn()
    assert len(waiting.wait_n(4, 5)) == 4
    assert len(waiting.wait_n(100, 5)) == 3
    assert len(waiting) == 3


def test_misuse(libos):
    waiting, qd = libos.wait_set(), libos.queue()
    assert kind_of(waiting.wait, 0) is Kind.INVALID  # nothing in it
    assert kind_of(waiting.add, 12345) is Kind.INVALID
    qtoken = libos.pop(qd)
    waiting.add(qtoken)
    assert kind_of(waiting.add, qtoken) is Kind.INVALID
    assert kind_of(libos.wait_set().add, qtoken) is Kind.INVALID
    assert kind_of(waiting.wait, 0) is Kind.TIMED_OUT
    assert kind_of(waiting.wait_n, 0) is Kind.INVALID
    push(libos, qd, b"x")
    assert bytes(waiting.wait(5).sga) == b"x"
    assert kind_of(libos.wait, qtoken) is Kind.INVALID  # it was taken


def test_a_closed_queue_completes_in_it(libos):
    waiting, qd = libos.wait_set(), libos.queue()
    waiting.add(libos.pop(qd))
    libos.close(qd)
    assert waiting.wait(5).error.kind is Kind.CANCELED


def test_nobody_starves(libos):
    """64 queues, each popped again at completion, all with more to give: their shares are the same."""
    qds = [libos.queue() for _ in range(64)]
    share = dict.fromkeys(qds, 0)
    waiting = libos.wait_set()
    for qd in qds:
        for _ in range(100):
            push(libos, qd, b"x")
        waiting.add(libos.pop(qd))
    for _ in range(64 * 50):
        result = waiting.wait(5)
        share[result.qd] += 1
        waiting.add(libos.pop(result.qd))
    assert min(share.values()) >= 0.9 * 50


def test_each_completion_wakes_one_of_the_threads(libos):
    qd, waiting, taken = libos.queue(), libos.wait_set(), []
    for _ in range(200):
        waiting.add(libos.pop(qd))

    def take():
        try:
            while True:
                taken.append(waiting.wait(10).qtoken)
        except Fail as failure:
            assert failure.kind is Kind.INVALID  # none left

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        push(libos, qd, b"x")
    for thread in threads:
        thread.join(20)
    assert len(taken) == len(set(taken)) == 200
