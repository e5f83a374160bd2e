"""Queues in memory, like Go channels (SOSP '21, figure 2): attempts at their operations, under the table's lock.

An attempt returns a count when the operation is done, -EAGAIN when it has to wait, or another error.
"""

from libos import calls, raw
from libos.core import layout
from libos.runtime import wakers

COMPILED = __file__.endswith(".so")


def add(table, capacity):
    """The record of a new queue of at most `capacity` arrays; 0 when there is no memory."""
    size = 1 << raw.width(capacity - 1) if capacity > 1 else 1
    ring = wakers.reserve(size * layout.ELEMENT)
    if ring == 0:
        return 0
    queue = table.add_queue(layout.MEMORY)
    if queue == 0:
        raw.syscall(calls.SYS_munmap, ring, size * layout.ELEMENT, 0, 0, 0, 0)
        return 0
    raw.store(queue + layout.RING, ring)
    raw.store(queue + layout.MASK, size - 1)
    raw.store(queue + layout.CAPACITY, capacity)
    raw.store(queue + layout.HEAD, 0)
    raw.store(queue + layout.TAIL, 0)
    return queue


def push(table, queue, operation):
    """The references of the operation become the element's."""
    tail = raw.load(queue + layout.TAIL)
    if tail - raw.load(queue + layout.HEAD) >= raw.load(queue + layout.CAPACITY):
        return -calls.EAGAIN
    element = raw.load(queue + layout.RING) + (tail & raw.load(queue + layout.MASK)) * layout.ELEMENT
    table.hold(operation)
    raw.store32(operation + layout.NOTED, 0)
    raw.copy(element, operation + layout.COUNT, layout.ARRAY)
    if raw.load(element) > 2:
        table.heap.retain(raw.load(element + 8))  # the list is the operation's too, until a wait has taken it
    raw.store(queue + layout.TAIL, tail + 1)
    return table.length(element)


def pop(table, queue, operation):
    """The element's references become the application's."""
    head = raw.load(queue + layout.HEAD)
    if head == raw.load(queue + layout.TAIL):
        return -calls.EAGAIN
    element = raw.load(queue + layout.RING) + (head & raw.load(queue + layout.MASK)) * layout.ELEMENT
    raw.copy(operation + layout.COUNT, element, layout.ARRAY)
    raw.store(queue + layout.HEAD, head + 1)
    table.hand_over(operation + layout.COUNT)
    return table.length(operation + layout.COUNT)


def close(table, queue):
    """What nobody has popped is freed."""
    head = raw.load(queue + layout.HEAD)
    while head != raw.load(queue + layout.TAIL):
        element = raw.load(queue + layout.RING) + (head & raw.load(queue + layout.MASK)) * layout.ELEMENT
        table.release(element)
        if raw.load(element) > 2:
            table.heap.release(raw.load(element + 8))
        head += 1
    size = (raw.load(queue + layout.MASK) + 1) * layout.ELEMENT
    raw.syscall(calls.SYS_munmap, raw.load(queue + layout.RING), size, 0, 0, 0, 0)
