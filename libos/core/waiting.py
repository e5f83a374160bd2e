"""Waiting for operations: results in turn, the device looked at meanwhile, asleep when spinning does not pay any more.

A wait claims an operation (`Table.take`); its caller reads the result and dismisses it. One completion is one waiter's.
"""

from libos import calls, raw
from libos.core import driving, layout, logs, loops, ringing

COMPILED = __file__.endswith(".so")
EVENTS = 32
SELDOM = 7  # of the turns of a spin only each eighth looks at the clock
RARELY = 63  # of the looks at rings only each 64th asks the kernel too
PATIENT = 100000000  # ns; who waits for as long as this may as well wait for a device's write
VERY_RARELY = 1023  # the same where the kernel has nothing to say but of connections that begin and end


def claim(table, qtokens, count):
    """Take a complete one of the qtokens at an address, beginning behind the last that was taken: its index.

    -EAGAIN when none is complete, -EINVAL when one is not live. Under the lock.
    """
    if count == 1:  # nothing to take turns with
        operation = table.find(raw.load(qtokens))
        if operation == 0:
            return -calls.EINVAL
        if raw.load32(operation + layout.STATE) != layout.DONE:
            return -calls.EAGAIN
        table.take(operation)
        return 0
    rotation = table.head + layout.ROTATIONS + ((qtokens >> 3) & 63) * 8
    i = raw.load(rotation)
    if i >= count:
        i = 0
    left = count
    while left:
        operation = table.find(raw.load(qtokens + i * 8))
        if operation == 0:
            return -calls.EINVAL
        if raw.load32(operation + layout.STATE) == layout.DONE:
            raw.store(rotation, i + 1)
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

    The qtoken is not live any more; `Table.record` still finds its operation. With a result the lock is the caller's,
    who reads it and calls `finish`.
    """
    began = now = 0
    turns = 0
    spin = raw.load(table.head + layout.SPIN)
    while True:
        table.lock()
        r = claimed(table, qtokens, count)
        if r == -calls.EAGAIN and look(table, timeout < 0 or timeout >= PATIENT):
            r = claimed(table, qtokens, count)
        if turns & SELDOM == 0 and r == -calls.EAGAIN:
            now = raw.now()
        if began == 0:
            began = now
        # who gives up has looked himself: what another thread is asking the kernel may be older than this wait
        if r == -calls.EAGAIN and 0 <= timeout <= now - began and not raw.load(table.head + layout.LOOKING):
            r = -calls.ETIMEDOUT
        if r >= 0:
            return r
        if r != -calls.EAGAIN:
            leave(table)
            return r
        table.unlock()
        attend(table)
        turns += 1
        if now - began < spin:
            if turns & SELDOM == 0:
                raw.pause()  # others may want the lock
        else:
            sleep(table, qtokens, count, timeout, began)


def finish(table, operation):
    """The result of a wait has been read."""
    table.dismiss(operation)
    leave(table)


def leave(table):
    """The calling thread stops waiting, and gives the lock back."""
    table.leave()
    if raw.load(table.head + layout.LOGS) == layout.OWNED:
        logs.passed_on(table)
    table.unlock()
    attend(table)


def attend(table):
    """What needs Python, between two calls of the program."""
    if raw.load(table.head + layout.ATTENTION):
        loops.attend(table)
    if raw.load(table.head + layout.LOG_WANTED):
        logs.attend(table)


def look(table, patient):
    """Ask the kernel what has changed, and go on with it. How many sockets have, and pushes to logs. Under the lock,
    which is given back for the system call; one thread at a time asks.
    """
    messaging = raw.load(table.head + layout.MESSAGING)
    if raw.load(table.head + layout.LOGS) == layout.OWNED:
        pushed = logs.look(table, patient and not messaging)
        if pushed:
            return pushed
    n = table.transport.look() if messaging else ringing.look(table)
    table.note(layout.LOOKS, 1)
    if n > 0 or (n == 0 and table.count(layout.LOOKS) & (VERY_RARELY if messaging else RARELY)):  # the kernel is far
        return n
    if raw.load(table.head + layout.LOOKING):
        return 0
    raw.store(table.head + layout.LOOKING, 1)
    at = table.head + layout.EVENT_SCRATCH
    table.away()
    r = raw.syscall(calls.SYS_epoll_wait, table.epoll(), at, EVENTS, 0, 0, 0)
    table.back()
    i = 0
    while i < r:
        tell(table, at + i * 12)
        i += 1
    raw.store(table.head + layout.LOOKING, 0)
    return r if r > 0 else 0


def tell(table, event):
    """One struct epoll_event. Under the lock, which may be given back meanwhile."""
    qd = raw.load(event + 4)
    if qd == layout.LOOP_BELL:
        ringing.heard(table, raw.load(table.head + layout.LOOP_BELL_FD))
    elif qd == layout.LOG_BELL:
        if raw.load(table.head + layout.LOG_CLAIMED) == 0:
            logs.heard(table)
    elif qd == layout.STEWARD:
        raw.store(table.head + layout.ATTENTION, qd)
    elif qd:
        driving.heard(table, qd, raw.load32(event))


def sleep(table, qtokens, count, timeout, began):
    """Until something that is waited for may be complete. One thread sleeps on the epoll set, the others until it, or
    whoever completes their operation, wakes them (futex(2)).
    """
    table.lock()
    limit = table.transport.doze() if raw.load(table.head + layout.MESSAGING) else ringing.doze(table)
    number = 0
    if limit != 0 and not logs.filled(table) and not claimable(table, qtokens, count):
        number = table.fall_asleep(qtokens, count)
    if number == 0:
        if raw.load(table.head + layout.WATCHER) == 0:  # who watches is to be rung for all the same
            rouse(table)
        table.unlock()
        raw.pause()
        return
    table.note(layout.SLEPT, 1)
    watching = raw.load(table.head + layout.WATCHER) == 0
    if watching:
        raw.store(table.head + layout.WATCHER, number)
    elif raw.load(table.head + layout.MESSAGING):
        limit = -1  # who watches looks for all
    table.unlock()
    at = table.waiter(number)
    until = remaining(at + layout.LIMIT, timeout, began, limit)
    if watching:
        n = raw.syscall(calls.SYS_epoll_pwait2, table.epoll(), at + layout.EVENT, 1, until, 0, 8)
    else:
        n = raw.syscall(calls.SYS_futex, at + layout.WORD, calls.FUTEX_WAIT, layout.ASLEEP, until, 0, 0)
    table.lock()
    table.awake(number)
    if watching:
        rouse(table)
        if n == 1 and raw.load(at + layout.EVENT + 4) == 0:  # the bell of `Table.wake`
            raw.syscall(calls.SYS_read, table.bell(), at + layout.LIMIT, 8, 0, 0, 0)
        elif n == 1:
            tell(table, at + layout.EVENT)
    table.unlock()


def rouse(table):
    """The thread that slept on the epoll set is awake."""
    if raw.load(table.head + layout.MESSAGING):
        table.transport.rouse()
    else:
        ringing.rouse(table)


def claimable(table, qtokens, count):
    """Whether a wait would end now. Under the lock."""
    if count == 0:
        return raw.load(table.head + layout.FIRST_DONE) != 0
    while count:
        count -= 1
        operation = table.find(raw.load(qtokens + count * 8))
        if operation == 0 or raw.load32(operation + layout.STATE) == layout.DONE:
            return True
    return False


def remaining(at, timeout, began, limit):
    """What is left of a time-out, at most `limit` (both negative: none), as struct timespec at `at`; 0 for no limit."""
    left = limit
    if timeout >= 0:
        left = began + timeout - raw.now()
        if left < 0:
            left = 0
        if 0 <= limit < left:
            left = limit
    if left < 0:
        return 0
    raw.store(at, left // 1000000000)
    raw.store(at + 8, left % 1000000000)
    return at
