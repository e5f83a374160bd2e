"""Logs in the core's table: groups by a thread that waits and by the ring, and what the machine takes over."""

import ctypes
import os

import pytest

from libos import raw
from libos.core import driving, layout, logs, waiting
from libos.core.stores import Stores
from libos.core.table import Table
from libos.errors import Fail, Kind
from libos.factory import native
from libos.runtime.memory import Heap

PATIENTLY, BY_RING = 20 * 10**9, 50 * 10**6  # ns: who waits for long is the one that writes


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "volume")


@pytest.fixture
def table():
    table = Table(Heap(64))
    assert table.open() >= 0
    yield table
    if table.stores:
        let_go(table)
    table.close()


def let_go(table):
    """Of the volume's file; nothing is on its way any more."""
    logs.claim(table)
    table.stores.settle(True)
    logs.release(table)
    table.stores.forked()


def opened(table, name=b"log"):
    """The record of a log's queue."""
    text = ctypes.create_string_buffer(name)
    logs.claim(table)
    qd = table.stores.call("open", ctypes.addressof(text), os.O_CREAT)
    logs.release(table)
    assert qd >= layout.FIRST_QD
    return table.queue_of(qd)


def start(table, queue, opcode, data=None):
    """A push or pop that has been started: its qtoken."""
    operation = table.begin(opcode, queue)
    if data is not None:
        memory = table.heap.alloc(len(data))
        ctypes.memmove(memory, data, len(data))
        raw.store(operation + layout.COUNT, 1)
        raw.store(operation + layout.SEGMENTS, memory)
        raw.store(operation + layout.SEGMENTS + 8, len(data))
    qtoken = raw.load(operation + layout.TOKEN)
    table.lock()
    driving.start(table, queue, operation)
    table.unlock()
    if data is not None:
        table.heap.free(memory)  # the push has its own reference
    return qtoken


def ended(table, qtoken, timeout=PATIENTLY):
    """(bytes moved or what a pop has brought, errno) of a qtoken, which is to be complete in time."""
    room = (ctypes.c_uint64 * 1)(qtoken)
    for _ in range(200):  # short waits may time out
        r = waiting.wait(table, ctypes.addressof(room), 1, timeout)
        if r == 0:
            break
    assert r == 0
    operation = table.record(qtoken)
    error, value = raw.load32(operation + layout.ERROR), raw.load(operation + layout.VALUE)
    if raw.load32(operation + layout.OPCODE) == layout.POP and not error:
        memory = raw.load(operation + layout.SEGMENTS)
        value = ctypes.string_at(memory, raw.load(operation + layout.SEGMENTS + 8))
        table.heap.free(table.heap.object_of(memory))
    table.dismiss(operation)
    table.unlock()
    return value, error


def held(path):
    """{name: elements} of all logs of a volume."""
    store, found = native("cattree", path=path), {}
    for name in store.logs():
        qd, found[name] = store.open(name), []
        while True:
            with store.wait(store.pop(qd, 1 << 20), 10).sga as sga:
                if not len(sga):
                    break
                found[name].append(bytes(sga))
    store.shut()
    return found


@pytest.mark.parametrize("timeout", [PATIENTLY, BY_RING], ids=["patiently", "ring"])
def test_pushed_and_popped(table, path, timeout):
    Stores(table, path, 8 << 20)
    log, other = opened(table), opened(table, b"other")
    data = [bytes([i]) * (i * 997 % 5000 + 1) for i in range(150)]
    tokens = [start(table, other if i % 3 == 0 else log, layout.PUSH, one) for i, one in enumerate(data)]
    assert [ended(table, token, timeout) for token in tokens] == [(len(one), 0) for one in data]
    mine = [one for i, one in enumerate(data) if i % 3]
    for one in mine[:20]:
        assert ended(table, start(table, log, layout.POP), timeout) == (one, 0)
    pops = [start(table, log, layout.POP) for _ in mine[20:] + [b""]]
    assert [ended(table, pop, timeout) for pop in pops] == [(one, 0) for one in mine[20:] + [b""]]
    let_go(table)
    assert held(path) == {"log": mine, "other": data[::3]}


@pytest.mark.parametrize("timeout", [PATIENTLY, BY_RING], ids=["patiently", "ring"])
def test_a_group_that_fails_is_the_machines(table, path, timeout):
    """What is in it, and in the next one, is written once more."""
    Stores(table, path, 8 << 20)
    log, other = opened(table), opened(table, b"other")
    before = start(table, log, layout.PUSH, b"before")
    assert ended(table, before, timeout) == (6, 0)
    flags, logs.here().flags = logs.here().flags, 1 << 30  # there is no such one
    tokens = [start(table, one, layout.PUSH, bytes([i]) * 300) for i in range(40) for one in (log, other)]
    assert {ended(table, token, timeout) for token in tokens} == {(300, 0)}
    logs.here().flags = flags
    assert ended(table, start(table, log, layout.PUSH, b"after"), timeout) == (5, 0)
    let_go(table)
    some = [bytes([i]) * 300 for i in range(40)]
    assert held(path) == {"log": [b"before", *some, b"after"], "other": some}


def test_segments_end_and_large_elements_are_written_from_where_they_lie(table, path):
    stores = Stores(table, path, 16 << 20)
    log, data = opened(table), []
    for i in range(30):
        data += [bytes([i]) * 60000, bytes([i]) * 100000, bytes([i]) * 10]
        tokens = [start(table, log, layout.PUSH, one) for one in data[-3:]]
        assert [ended(table, token)[0] for token in tokens] == [60000, 100000, 10]
    assert stores.volume.counters["checkpoints"] > 3
    assert ended(table, start(table, log, layout.PUSH, bytes(600000)))[1] > 0
    let_go(table)
    assert held(path) == {"log": data}


def test_a_full_volume_says_so(table, path):
    Stores(table, path, 8 << 20)
    log, errors, pushed = opened(table), [], 0
    while not errors:
        pushes = [start(table, log, layout.PUSH, bytes(50000)) for _ in range(10)]
        errors = [error for _, error in (ended(table, push) for push in pushes) if error]
        pushed += 10 - len(errors)
    assert set(errors) == {28} and 60 < pushed < 170  # ENOSPC
    logs.claim(table)
    qd = raw.load(log + layout.QUEUE_QD)
    assert table.stores.call("truncate", qd, 3_000_000) == 0
    logs.release(table)
    assert ended(table, start(table, log, layout.PUSH, b"there is room again")) == (19, 0)


def test_a_close_gives_up_what_has_not_gone_out(table, path):
    Stores(table, path, 8 << 20)
    log = opened(table)
    large = start(table, log, layout.PUSH, bytes(100000))  # waits for the machine, and those behind it for that
    small = start(table, log, layout.PUSH, b"small")
    popping = start(table, log, layout.POP)
    qd = raw.load(log + layout.QUEUE_QD)
    assert driving.close(table, qd) == 0 and driving.close(table, qd) < 0
    for token in (large, small, popping):
        assert ended(table, token)[1] == 125  # ECANCELED
    log = opened(table)
    assert ended(table, start(table, log, layout.POP)) == (b"", 0)


def test_one_owner(table, path):
    Stores(table, path, 8 << 20)
    with pytest.raises(Fail) as caught:
        Stores(Table(Heap(8)), path)
    assert caught.value.kind is Kind.IN_USE
