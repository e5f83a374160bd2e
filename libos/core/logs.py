"""Logs of Cattree: pushes join groups that go to the device without the GIL (libos/log/straight.py), one on its way at
a time.

Whatever else there is to do with a volume its machine does (stores.py): `want` says so, and whoever waits next attends
to it. Of a volume that processes share (libos/shared_stores.py) all is done so: there are no groups, and nobody has it
alone. Functions are called under the table's lock unless they say something else.
"""

from libos import calls, raw
from libos.core import layout

COMPILED = __file__.endswith(".so")
NOBODY, THREAD, RING = 0, 1, 2  # who writes the group that is on its way
TAG = 9  # of a group in the ring, where the machine has its own (libos/log/volume.py)
URING_WRITE = 0  # libos/blocks/uring.py
LARGEST = 65536  # bytes of a push that is copied; the machine writes a larger one from where it lies
MOST = 64  # pushes of a group
NO_LINE = 0xFFFFFFFF  # of a log that came when there were none left


class Logs:
    """The volume of a process, as far as it takes no GIL. `straight` and `device`: what writes; `flags` of pwritev2(2)
    to `fd`. `members`: for the group that is filled and the one on its way, of each push where its record is, and its
    qtoken. `recent`: pushes of the last group. `turn`: the queue that may join first. `tag`, `result`: what the device
    has said to the machine.
    """

    def __init__(self):
        self.straight = None
        self.device = None
        self.fd = self.flags = 0
        self.members = self.recent = 0
        self.tag = self.result = 0
        self.turn = 0


HERE = Logs()


def here():
    """The one volume, for interpreted rooms."""
    return HERE


# --- pushes ---


def start(table, queue, operation):
    """A pop is the machine's. A push joins the group that is being filled, if those before it have joined one."""
    if raw.load(table.head + layout.LOGS) == 0:
        table.complete(operation, -calls.ENODEV)
        return
    table.note(layout.BLOCKED, 1)
    if raw.load32(operation + layout.OPCODE) == layout.POP:
        table.link(queue + layout.FIRST_IN, operation)
        want(table)
        return
    table.link(queue + layout.FIRST_OUT, operation)
    table.hold(operation)
    if raw.load(queue + layout.UNJOINED) == 0:
        raw.store(queue + layout.UNJOINED, table.number(operation))
        join(table, queue)


def join(table, queue):
    """What waits joins, in its order, until the group is full or the machine has to do it."""
    number = raw.load(queue + layout.UNJOINED)
    while number and raw.load(table.head + layout.LOG_CLAIMED) == 0:
        operation = table.at(number)
        place = joined(table, queue, operation)
        if place <= 0:
            if place < 0:
                want(table)
            break
        number = raw.load(operation + layout.NEXT)
    raw.store(queue + layout.UNJOINED, number)


def join_all(table):
    """What waits of all queues, until the group is full; the next one begins with the queue after that."""
    first = HERE.turn or raw.load(table.head + layout.FIRST_LOG)
    queue = first
    while queue:
        after = raw.load(queue + layout.LOG_NEXT) or raw.load(table.head + layout.FIRST_LOG)
        if raw.load(queue + layout.UNJOINED):
            join(table, queue)
            if raw.load(queue + layout.UNJOINED):
                HERE.turn = after
                return
        queue = after if after != first else 0


def joined(table, queue, operation):
    """More than 0: it has; 0: once this group has gone out; -1: the machine has to do it."""
    array = operation + layout.COUNT
    size = table.length(array)
    line = raw.load(queue + layout.LOG_LINE)
    if size > LARGEST or line == NO_LINE:
        return -1
    # most of the time there will be as many as last time, and no more than twice as many
    place = HERE.straight.place(size, HERE.recent * 2 + 2)
    if place <= 0:
        return place
    to = HERE.straight.room() + place
    at = table.segments(array)
    last = at + raw.load(array) * 16
    while at < last:
        raw.copy(to, raw.load(at), raw.load(at + 8))
        to += raw.load(at + 8)
        at += 16
    member = member_of(HERE.straight.filling, HERE.straight.count)
    raw.store(member, operation)
    raw.store(member + 8, raw.load(operation + layout.TOKEN))
    HERE.straight.put(line, place, size)
    table.note(layout.COPIED, size)
    return place


def member_of(room, i):
    return HERE.members + (room * MOST + i) * 16


# --- groups ---


def look(table, patient):
    """Go on with what the device has finished, and send what has been filled: how many pushes are complete now.
    `patient`: the caller would sleep anyway, so that it may as well wait for the device; the lock is given back then.
    """
    if raw.load(table.head + layout.LOG_CLAIMED):
        return 0
    found = heard(table)
    if raw.load(table.head + layout.LOG_WRITING) == NOBODY and HERE.straight.count:
        found += send(table, patient and raw.load(table.head + layout.SOCKETS) == 0)
    return found


def filled(table):
    """Whether there is a group that nobody sends."""
    if raw.load(table.head + layout.LOGS) != layout.OWNED or raw.load(table.head + layout.LOG_CLAIMED):
        return False
    return raw.load(table.head + layout.LOG_WRITING) == NOBODY and HERE.straight.count != 0


def heard(table):
    """What the ring has finished: how many pushes are complete. Nothing while a thread writes, who may be asking it."""
    found = 0
    if raw.load(table.head + layout.LOG_WRITING) == THREAD:
        return 0
    tag = HERE.device.taken()
    while tag:
        if tag == TAG:
            found += over(table, HERE.device.result)
        else:
            HERE.tag, HERE.result = tag, HERE.device.result
            want(table)
        tag = HERE.device.taken()
    return found


def send(table, wait):
    """The group that has been filled goes out: how many pushes are complete."""
    place = HERE.straight.sealed()
    vector = HERE.straight.vector
    table.note(layout.SYSTEM_CALLS, 1)
    raw.store(table.head + layout.LOG_WRITING, THREAD)
    if wait:
        table.away()
        r = raw.syscall(calls.SYS_pwritev2, HERE.fd, vector, 1, place, 0, HERE.flags)
        table.back()
        return over(table, r)
    HERE.device.ask(URING_WRITE, TAG, place, vector, 1, HERE.flags)
    table.away()
    HERE.device.hand_over()
    table.back()
    raw.store(table.head + layout.LOG_WRITING, RING)
    return 0


def over(table, result):
    """A group has been written, or not: then its pushes, and those after it, are the machine's to do."""
    room = HERE.straight.filling ^ 1
    count = HERE.straight.flying_count
    size = HERE.straight.flying_size
    raw.store(table.head + layout.LOG_WRITING, NOBODY)
    HERE.straight.over(result)
    if result != size:
        if HERE.straight.count:
            HERE.straight.refuse()
        again(table)
        return 0
    HERE.recent = count
    i = 0
    while i < count:
        member = member_of(room, i)
        operation = raw.load(member)
        if raw.load(operation + layout.TOKEN) == raw.load(member + 8):
            if raw.load32(operation + layout.STATE) == layout.WAITING:
                end(table, operation, table.length(operation + layout.COUNT))
        i += 1
    join_all(table)
    return count


def again(table):
    """No push is in a group."""
    queue = raw.load(table.head + layout.FIRST_LOG)
    while queue:
        raw.store(queue + layout.UNJOINED, raw.load(queue + layout.FIRST_OUT))
        queue = raw.load(queue + layout.LOG_NEXT)
    want(table)


def end(table, operation, result):
    """A push is complete, with a count or an error; those before it are."""
    queue = table.queue_of(raw.load32(operation + layout.QD))
    table.unlink(queue + layout.FIRST_OUT, operation)
    table.release(operation + layout.COUNT)
    if result >= 0:
        raw.store(operation + layout.VALUE, result)
    table.complete(operation, result)


def passed_on(table):
    """Who has been waiting goes: whoever sleeps until a push of the group that is filled is durable has to send it."""
    if raw.load(table.head + layout.LOG_WRITING) or raw.load(table.head + layout.SLEEPERS) == 0:
        return
    i = 0
    while i < HERE.straight.count:
        member = member_of(HERE.straight.filling, i)
        operation = raw.load(member)
        if raw.load(operation + layout.TOKEN) == raw.load(member + 8):
            waiter = raw.load(operation + layout.WAITER)
            if waiter == layout.SEVERAL or (waiter and table.sleeps(waiter)):
                table.tell(waiter)
                return
        i += 1
    if HERE.straight.count and raw.load(table.head + layout.SLEEPERS_ANY):
        table.tell(0)


# --- the machine's turn ---


def want(table):
    """There is something for the machine to do."""
    raw.store(table.head + layout.LOG_WANTED, 1)


def attend(table):
    """The machine does what it has to. Not under the lock."""
    if raw.exchange(table.head + layout.LOG_WANTED, 0):
        claim(table)
        turn(table)
        release(table)


def claim(table):
    """Have the volume alone: what is on its way, or filled, goes first. Not under the lock."""
    if raw.load(table.head + layout.LOGS) != layout.OWNED:
        return
    table.lock()
    while raw.load(table.head + layout.LOG_CLAIMED):
        others(table)
    raw.store(table.head + layout.LOG_CLAIMED, 1)
    while raw.load(table.head + layout.LOG_WRITING) or HERE.straight.count:
        writing = raw.load(table.head + layout.LOG_WRITING)
        if writing == NOBODY:
            send(table, True)
        elif writing == THREAD or heard(table) == 0:
            others(table)
    table.unlock()


def others(table):
    """Let them go on."""
    table.unlock()
    raw.syscall(calls.SYS_sched_yield, 0, 0, 0, 0, 0, 0)
    table.lock()


def release(table):
    """The reverse of `claim`."""
    if raw.load(table.head + layout.LOGS) != layout.OWNED:
        return
    table.lock()
    raw.store(table.head + layout.LOG_CLAIMED, 0)
    join_all(table)
    passed_on(table)
    table.unlock()


def turn(table):
    """With the GIL. What a signal's handler raises, where the program is a Python, ends no more than this turn."""
    try:
        table.stores.turn()
    except BaseException:
        want(table)
        raise


def claim_of(table, qd):
    """Claim the volume for a queue that is to be closed, if it is that of a log."""
    queue = table.queue_of(qd)
    if queue == 0 or raw.load(queue + layout.KIND) != layout.LOG or raw.load(table.head + layout.LOGS) == 0:
        return False
    claim(table)
    return True


def closed(table, qd):
    """It has been closed; 0: by somebody else. Not under the lock."""
    if qd:
        forget(table, qd)
    release(table)


def forget(table, qd):
    """With the GIL."""
    table.stores.forget(qd)


def add(table, line):
    """The record of a log's queue, whose line in straight groups is `line`; 0 when there is none left."""
    queue = table.add_queue(layout.LOG)
    if queue:
        raw.store(queue + layout.LOG_LINE, line)
        raw.store(queue + layout.UNJOINED, 0)
        raw.store(queue + layout.LOG_NEXT, raw.load(table.head + layout.FIRST_LOG))
        raw.store(table.head + layout.FIRST_LOG, queue)
    return queue


def part(table, queue):
    """It has no operations, and is none any more."""
    at = table.head + layout.FIRST_LOG
    while raw.load(at) != queue:
        at = raw.load(at) + layout.LOG_NEXT
    raw.store(at, raw.load(queue + layout.LOG_NEXT))
    HERE.turn = 0


def use(table, straight, device, fd, flags, members):
    """From now on there is a volume."""
    HERE.straight, HERE.device = straight, device
    HERE.fd, HERE.flags, HERE.members = fd, flags, members
    HERE.recent = HERE.tag = HERE.turn = 0
    raw.store(table.head + layout.LOGS, layout.OWNED)


def share(table):
    """From now on there is a volume that is not this process's alone."""
    raw.store(table.head + layout.LOGS, layout.SHARED)


def forked(table):
    """In a child: the volume is its parent's. Its queues' operations are given up then."""
    again(table)
    raw.store(table.head + layout.LOGS, 0)
    raw.store(table.head + layout.LOG_WRITING, NOBODY)
    raw.store(table.head + layout.LOG_WANTED, 0)
    raw.store(table.head + layout.LOG_CLAIMED, 0)
