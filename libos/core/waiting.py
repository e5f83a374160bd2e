"""Waiting for operations: results in turn, the device looked at meanwhile, asleep when spinning does not pay any more.

A wait claims an operation (`Table.take`); its caller reads the result and dismisses it. One completion is one waiter's.
"""

from libos import calls, raw
from libos.core import driving, layout

COMPILED = __file__.endswith(".so")
SPIN = 20000  # ns
EVENTS = 32


def claim(table, qtokens, count):
    """Take a complete one of the qtokens at an address, beginning behind the last that was taken: its index.

    -EAGAIN when none is complete, -EINVAL when one is not live. Under the lock.
    """
    i = 0
    if count > 1:
        i = raw.load(table.head + layout.ROTATION)
        if i >= count:
            i = 0
    left = count
    while left:
        operation = table.find(raw.load(qtokens + i * 8))
        if operation == 0:
            return -calls.EINVAL
        if raw.load32(operation + layout.STATE) == layout.DONE:
            raw.store(table.head + layout.ROTATION, i + 1)
            table.take(operation)
            return i
        i += 1
        if i == count:
            i = 0
        left -= 1
    return -calls.EAGAIN


def claim_next(table):
    """The operation that has been complete for longest, whichever it is; -EAGAIN when there is none. Under the lock."""
    number = raw.load(table.head + layout.FIRST_DONE)
    if number == 0:
        return -calls.EAGAIN
    operation = table.at(number)
    table.take(operation)
    return operation


def claimed(table, qtokens, count):
    """One of some qtokens, or any (count 0)."""
    return claim(table, qtokens, count) if count else claim_next(table)


def wait(table, qtokens, count, timeout):
    """The index of a complete one of `count` qtokens, which is then the caller's; with count 0 the address of any
    complete operation. -ETIMEDOUT after `timeout` ns (negative: never), -EINVAL for a qtoken that is not live.

    The qtoken is not live any more; `Table.record` still finds its operation.
    """
    began = 0
    while True:
        table.lock()
        r = claimed(table, qtokens, count)
        if r == -calls.EAGAIN and look(table):
            r = claimed(table, qtokens, count)
        table.unlock()
        if r != -calls.EAGAIN:
            return r
        now = raw.now()
        if began == 0:
            began = now
        if 0 <= timeout <= now - began:
            return -calls.ETIMEDOUT
        if now - began < SPIN:
            raw.pause()
        else:
            r = sleep(table, qtokens, count, timeout, began)
            if r != -calls.EAGAIN:
                return r


def look(table):
    """Ask the kernel what has changed, and go on with it. How many sockets have. Under the lock."""
    if raw.load(table.head + layout.EPOLL) == 0:
        return 0
    at = table.head + layout.EVENT_SCRATCH
    table.note(layout.LOOKS, 1)
    r = raw.syscall(calls.SYS_epoll_wait, table.epoll(), at, EVENTS, 0, 0, 0)
    i = 0
    while i < r:
        tell(table, at + i * 12)
        i += 1
    return r if r > 0 else 0


def tell(table, event):
    """One struct epoll_event. Under the lock."""
    qd = raw.load(event + 4)
    if qd:
        driving.heard(table, qd, raw.load32(event))


def sleep(table, qtokens, count, timeout, began):
    """Until the kernel or another thread has something, once nothing is complete: as `claimed`, or -EAGAIN.

    What is left of a time-out is slept through whole: epoll_pwait2(2) counts nanoseconds.
    """
    room = table.heap.alloc(64)
    table.lock()
    r = claimed(table, qtokens, count)
    if r == -calls.EAGAIN:
        table.note(layout.SLEPT, 1)
        raw.store(table.head + layout.SLEEPERS, raw.load(table.head + layout.SLEEPERS) + 1)
        table.unlock()
        until = 0
        if timeout >= 0:
            left = began + timeout - raw.now()
            if left < 0:
                left = 0
            raw.store(room + 16, left // 1000000000)
            raw.store(room + 24, left % 1000000000)
            until = room + 16
        n = raw.syscall(calls.SYS_epoll_pwait2, table.epoll(), room, 1, until, 0, 8)
        table.lock()
        raw.store(table.head + layout.SLEEPERS, raw.load(table.head + layout.SLEEPERS) - 1)
        if n == 1:
            if raw.load(room + 4) == 0:  # the bell
                raw.syscall(calls.SYS_read, table.bell(), room + 32, 8, 0, 0, 0)
            else:
                tell(table, room)
    table.unlock()
    table.heap.free(room)
    return r
