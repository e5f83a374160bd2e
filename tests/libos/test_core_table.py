"""The core's table of operations and queues, against what its records have to say."""

import errno
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libos import raw
from libos.core import channel, driving, forking, layout, sockets, waiting
from libos.core.table import Table
from libos.runtime.memory import Heap


@pytest.fixture
def table():
    table = Table(Heap(8))
    assert table.open() >= 0
    yield table
    assert table.heap.live() == 0
    table.close()


def begin(table, queue, opcode=layout.POP):
    """A new operation of a queue, started: its qtoken."""
    operation = table.begin(opcode, queue)
    qtoken = raw.load(operation + layout.TOKEN)
    driving.start(table, queue, operation)
    return qtoken


def push(table, queue):
    """An array of no segments: nothing to hold."""
    return begin(table, queue, layout.PUSH)


def state(table, qtoken):
    return raw.load32(table.find(qtoken) + layout.STATE)


def take(table, qtoken):
    operation = table.find(qtoken)
    table.take(operation)
    table.dismiss(operation)


def test_a_qtoken_is_live_until_it_is_taken(table):
    queue = channel.add(table, 4)
    qtoken = begin(table, queue)
    assert state(table, qtoken) == layout.WAITING
    pushed = push(table, queue)
    assert state(table, qtoken) == state(table, pushed) == layout.DONE
    for token in (qtoken, pushed):
        take(table, token)
        assert table.find(token) == 0
    again = begin(table, queue)  # in the same record, by another number
    assert table.record(again) in (table.record(qtoken), table.record(pushed)) and again not in (qtoken, pushed)
    driving.close(table, raw.load(queue + layout.QUEUE_QD))
    assert raw.load(table.find(again) + layout.ERROR) > 0
    take(table, again)


@pytest.mark.parametrize("number", [0, 1, 1 << 21, (1 << 64) - 1])
def test_other_numbers_are_no_qtokens(table, number):
    assert table.find(number) == 0


@pytest.mark.parametrize("qd", [0, -1, 499, 501, 1 << 40])
def test_other_numbers_are_no_queues(table, qd):
    assert raw.load(channel.add(table, 1) + layout.QUEUE_QD) == 500
    assert table.queue_of(qd) == 0
    driving.close(table, 500)


def test_a_queue_record_is_used_again_by_another_number(table):
    seen = set()
    for _ in range(100):
        qd = raw.load(channel.add(table, 1) + layout.QUEUE_QD)
        assert qd not in seen
        seen.add(qd)
        assert driving.close(table, qd) == 0 and driving.close(table, qd) < 0


def test_who_comes_to_a_line_that_is_driven_has_it_looked_at_once_more(table):
    """Two threads never make system calls for one line at the same time, and nothing that the kernel says is lost."""
    queue = sockets.make(table, socket.AF_INET, socket.SOCK_DGRAM)
    raw.store(queue + layout.DRIVEN_IN, layout.DRIVEN)  # by another thread
    qtoken = begin(table, queue)
    assert state(table, qtoken) == layout.WAITING
    assert table.count(layout.SYSTEM_CALLS) == 2  # that put the bell and the socket into the epoll set
    assert raw.load(queue + layout.DRIVEN_IN) == layout.ONCE_MORE
    raw.store(queue + layout.DRIVEN_IN, layout.ALONE)
    driving.close(table, raw.load(queue + layout.QUEUE_QD))
    take(table, qtoken)


def test_a_forked_table_has_nothing_under_way(table):
    """As in the child, whose other threads are gone: one drove a line, one slept."""
    queue = sockets.make(table, socket.AF_INET, socket.SOCK_DGRAM)
    raw.store(queue + layout.DRIVEN_IN, layout.DRIVEN)
    qtoken = begin(table, queue)
    raw.store(table.head + layout.SLEEPERS, 1)
    raw.store(table.head + layout.LOOKING, 1)
    forking.before(table)
    forking.in_child(table)
    assert state(table, qtoken) == layout.DONE and raw.load32(table.find(qtoken) + layout.ERROR) == errno.ECANCELED
    for word in (layout.LOCK, layout.SLEEPERS, layout.LOOKING, layout.FORKING):
        assert raw.load(table.head + word) == 0
    assert raw.load(queue + layout.DRIVEN_IN) == layout.ALONE
    take(table, qtoken)
    assert driving.close(table, raw.load(queue + layout.QUEUE_QD)) == 0


def test_a_wait_for_nothing_gives_up(table):
    queue = channel.add(table, 1)
    assert waiting.wait(table, 0, 0, 0) < 0
    qtoken = begin(table, queue)
    assert waiting.wait(table, 0, 0, 1000000) < 0
    driving.close(table, raw.load(queue + layout.QUEUE_QD))
    operation = waiting.wait(table, 0, 0, -1)
    assert operation == table.record(qtoken)
    table.dismiss(operation)
    table.unlock()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["push", "pop", "take"]), max_size=60), st.integers(1, 5))
def test_a_queue_against_a_model(steps, capacity):
    """Operations complete in their order: as many pushes as there is room or pops for, as many pops as pushes."""
    table = Table(Heap(1))
    queue = channel.add(table, capacity)
    live = {"push": [], "pop": []}
    taken = {"push": 0, "pop": 0}
    for step in steps:
        if step == "take":
            for kind, tokens in live.items():
                while tokens and state(table, tokens[0]) == layout.DONE:
                    take(table, tokens.pop(0))
                    taken[kind] += 1
        else:
            live[step].append(push(table, queue) if step == "push" else begin(table, queue))
        begun = {kind: taken[kind] + len(live[kind]) for kind in live}
        complete = {
            kind: taken[kind] + sum(state(table, token) == layout.DONE for token in tokens)
            for kind, tokens in live.items()
        }
        assert complete["pop"] == min(begun["pop"], begun["push"])
        assert complete["push"] == min(begun["push"], begun["pop"] + capacity)
        for tokens in live.values():
            states = [state(table, token) for token in tokens]
            assert states == sorted(states, reverse=True)  # DONE before WAITING
    driving.close(table, raw.load(queue + layout.QUEUE_QD))
    for tokens in live.values():
        for token in tokens:
            assert state(table, token) == layout.DONE
            take(table, token)
