"""A table through fork(2): the child has a copy of it, with queues, results and buffers, and the sockets themselves.

What was under way is the parent's, as with aio(7): in the child it has failed with ECANCELED. An epoll set is shared by
those who have its descriptor, so that the child makes one of its own.
"""

from libos import calls, raw
from libos.core import driving, layout, logs

COMPILED = __file__.endswith(".so")


def before(table):
    """Take the lock when all threads that had given it back are there again: in the child nobody would come back."""
    table.lock()
    raw.store(table.head + layout.FORKING, 1)
    while raw.load(table.head + layout.AWAY):
        table.unlock()
        raw.pause()
        table.lock()


def in_parent(table):
    """Everything goes on."""
    raw.store(table.head + layout.FORKING, 0)
    table.unlock()


def in_child(table):
    """Nobody sleeps here, and nothing is under way."""
    table.close()
    table.open()
    table.transport.forked()
    forget_sleepers(table)
    logs.forked(table)
    raw.store(table.head + layout.LOOKING, 0)
    raw.store(table.head + layout.FORKING, 0)
    number = 0
    while number < raw.load(table.head + layout.USED_QUEUES):
        queue = table.queues + number * layout.QUEUE_RECORD
        if raw.load(queue + layout.KIND):
            renew(table, queue)
        number += 1
    table.unlock()


def forget_sleepers(table):
    number = 1
    while number <= layout.WAITERS:
        if raw.load32(table.waiter(number) + layout.WORD) != layout.AWAKE:  # nor touch what was never used
            raw.store32(table.waiter(number) + layout.WORD, layout.AWAKE)
        number += 1
    raw.store(table.head + layout.SLEEPERS, 0)
    raw.store(table.head + layout.SLEEPERS_ANY, 0)
    raw.store(table.head + layout.WATCHER, 0)


def renew(table, queue):
    """A queue without operations, in the new epoll set. Under the lock."""
    raw.store(queue + layout.DRIVEN_IN, layout.ALONE)
    raw.store(queue + layout.DRIVEN_OUT, layout.ALONE)
    driving.give_up(table, queue, queue + layout.FIRST_IN)
    driving.give_up(table, queue, queue + layout.FIRST_OUT)
    if raw.load(queue + layout.KIND) == layout.MESSAGES:
        driving.give_up(table, queue, queue + layout.FIRST_LENT)
        raw.store(queue + layout.CONNECTION, 0)
        raw.store(queue + layout.SOCKET_STATE, layout.FRESH)
    if raw.load(queue + layout.KIND) == layout.SOCKET:
        if raw.load(queue + layout.SOCKET_STATE) == layout.CONNECTING:
            raw.store(queue + layout.SOCKET_STATE, layout.FRESH)
        table.register(raw.load(queue + layout.FD), calls.EDGES, raw.load(queue + layout.QUEUE_QD))
