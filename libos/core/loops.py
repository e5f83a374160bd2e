"""Connections of Catloop: attempts at their operations where their bytes may be in rings, and their way there.

An attempt is made under the table's lock and without the GIL. What needs Python, the meeting of the two ends, is done
by `attend` between two calls of the program: never under the lock, which others wait for while they have the GIL.
"""

from libos import calls, endpoint, leaving, raw, rings
from libos import layout as ends
from libos.core import layout, sockets
from libos.refusal import Refused
from libos.runtime import wakers

COMPILED = __file__.endswith(".so")
STREAM = 1
NEVER = 1 << 62


def use(table, queue):
    """Count an attempt; from time to time one makes the connection's next step due."""
    uses = raw.load(queue + layout.USES) + 1
    raw.store(queue + layout.USES, uses)
    if uses >= raw.load(queue + layout.NEXT_STEP):
        raw.store(table.head + layout.ATTENTION, raw.load(queue + layout.QUEUE_QD))


def push(table, queue, operation):
    """Give what is left of the array to the connection."""
    end = raw.load(queue + layout.END)
    at = table.segments(operation + layout.COUNT)
    last = at + raw.load(operation + layout.COUNT) * 16
    done = raw.load(operation + layout.VALUE)
    while at < last:
        size = raw.load(at + 8)
        if done >= size:
            done -= size
            at += 16
        else:
            r = endpoint.push(end, raw.load(at) + done, size - done, calls.NOSIGNAL)
            if r < 0:
                if r == -calls.EAGAIN:
                    leaving.settle(end)
                return r
            if raw.load(end + ends.OUT_STATE) == ends.RING:
                table.note(layout.RINGS, 1)
            done += r
            raw.store(operation + layout.VALUE, raw.load(operation + layout.VALUE) + r)
    return raw.load(operation + layout.VALUE)


def pop(table, queue, operation):
    """Take what is there, at most POP_SIZE bytes: from a ring into a buffer of that size."""
    end = raw.load(queue + layout.END)
    size = layout.POP_SIZE
    if raw.load(end + ends.IN_STATE) == ends.RING:
        there = rings.inbound(end)
        if there:  # a line that the peer has just written: it comes while a buffer is found for it
            raw.prefetch(raw.load(end + ends.IN_RING) + (raw.load(end + ends.HEAD) & raw.load(end + ends.IN_MASK)))
        if 0 < there < size:
            size = there
        elif there == 0 and quiet(end):
            leaving.settle(end)
            return -calls.EAGAIN
    buffer = table.heap.alloc(size)
    if buffer == 0:
        return -calls.ENOMEM
    if raw.load(end + ends.IN_STATE) == ends.PLAIN:
        r = pop_plain(end, buffer, size)
    else:
        r = endpoint.pop(end, buffer, size, calls.SLEEPS)
    if r < 0:
        table.heap.free(buffer)
        if r == -calls.EAGAIN:
            leaving.settle(end)
        return r
    if raw.load(end + ends.IN_STATE) == ends.RING:
        table.note(layout.RINGS, 1)
    if size == layout.POP_SIZE:
        sockets.received(table, operation, buffer, r)
    else:
        sockets.keep(operation, buffer, r)
    return r


def pop_plain(end, buffer, size):
    """A receive from the kernel, not while another thread agrees (libos/meeting.py) and counts what came from there."""
    rings.lock(end + ends.IN_LOCK)
    plain = raw.load(end + ends.IN_STATE) == ends.PLAIN
    r = endpoint.pop(end, buffer, size, calls.SLEEPS) if plain else 0
    rings.unlock(end + ends.IN_LOCK)
    return r if plain else endpoint.pop(end, buffer, size, calls.SLEEPS)


def quiet(end):
    """Whether an empty ring has no more to tell: neither its end, nor something that the kernel has said."""
    header = raw.load(end + ends.IN)
    told = raw.load(header + ends.H_TAIL) & ends.ENDED or raw.load(header + ends.H_HEAD) & ends.CLOSED
    return not told and raw.load(end + ends.LOOK_AT) != 0


def join(table, queue, end):
    """The connection has a record from now on. Under the lock."""
    first = raw.load(table.head + layout.FIRST_LOOP)
    raw.store(queue + layout.LOOP_NEXT, first)
    raw.store(queue + layout.LOOP_PREVIOUS, 0)
    if first:
        raw.store(first + layout.LOOP_PREVIOUS, queue)
    raw.store(table.head + layout.FIRST_LOOP, queue)
    raw.store(queue + layout.END, end)


def attached(table, queue):
    """The connection has rings from now on. A few are near, every look looks at them; of the others the peer says when
    there is something (`rings.soil`). Under the lock.
    """
    near = table.head + layout.NEAR
    last = near + layout.NEARS * 8
    while near < last and raw.load(near):
        near += 8
    if near < last:
        raw.store(near, queue)
        return
    end = raw.load(queue + layout.END)
    raw.store(queue + layout.FAR, 1)
    raw.store(table.head + layout.FARS, raw.load(table.head + layout.FARS) + 1)
    raw.store(place_of(table, end), queue)
    raw.store(raw.load(end + ends.IN) + ends.H_WATCHED, 1)
    raw.fence()
    rings.mark_dirty(end, raw.load(end + ends.DIRTY) ^ ends.SIDE)  # there may have been something before


def place_of(table, end):
    """Address of the word that has an end's queue."""
    return raw.load(table.head + layout.QUEUE_OF_END) + (end - raw.load(table.head + layout.ENDS_AT)) // ends.RECORD * 8


def detached(table, queue):
    """Nobody looks at it any more. Under the lock."""
    near = table.head + layout.NEAR
    last = near + layout.NEARS * 8
    if raw.load(queue + layout.FAR):
        raw.store(queue + layout.FAR, 0)
        raw.store(table.head + layout.FARS, raw.load(table.head + layout.FARS) - 1)
        raw.store(place_of(table, raw.load(queue + layout.END)), 0)
        return
    while near < last:
        if raw.load(near) == queue:
            raw.store(near, 0)
        near += 8


def part(table, queue):
    """It has none any more. Under the lock."""
    detached(table, queue)
    after = raw.load(queue + layout.LOOP_NEXT)
    before = raw.load(queue + layout.LOOP_PREVIOUS)
    if before:
        raw.store(before + layout.LOOP_NEXT, after)
    else:
        raw.store(table.head + layout.FIRST_LOOP, after)
    if after:
        raw.store(after + layout.LOOP_PREVIOUS, before)
    raw.store(queue + layout.END, 0)


def attend(table):
    """The next step of the connection that has asked for it."""
    qd = raw.exchange(table.head + layout.ATTENTION, 0)
    if qd:
        table.loops.step(qd)


def release(table, qd):
    """A closed connection's record goes."""
    table.loops.release(qd)


class Loops:
    """The half of Catloop that has the GIL: `catloop` is libos.catloop.Catloop, `queues` its queues by qd."""

    def __init__(self, table, catloop):
        self.table = table
        self.catloop = catloop
        self.queues = {}
        table.loops = self
        raw.store(table.head + layout.WORTH, catloop.worth)
        raw.store(table.head + layout.ENDS_AT, catloop.records.arena)
        raw.store(table.head + layout.QUEUE_OF_END, wakers.reserve(ends.ENDS * 8))

    def start(self):
        """Hear of the peers. Raises OSError."""
        self.make_bell()
        self.catloop.family.on_pair = self.pair_came
        self.catloop.survive_forks(self.forked)

    def make_bell(self):
        """The bell that peers ring."""
        bell, fd = self.catloop.family.new_bell()
        raw.store(self.table.head + layout.SLEEP_WORD, self.catloop.family.page + bell * 64)
        raw.store(self.table.head + layout.LOOP_BELL, bell)
        self.table.register(fd, calls.POLLIN, layout.LOOP_BELL)
        raw.store(self.table.head + layout.LOOP_BELL_FD, fd)

    def pair_came(self, block, here):
        """Peers say in a pair that they have something, from now on or no more."""
        at = self.table.head + layout.FIRST_PAIR
        self.table.lock()
        if here:
            raw.store(block + 16, raw.load(at))
            raw.store(at, block)
        else:
            while raw.load(at) and raw.load(at) != block:
                at = raw.load(at) + 16
            if raw.load(at):
                raw.store(at, raw.load(block + 16))
        self.table.unlock()

    def forked(self):
        """In a child: what the parent's peers say, the parent hears; its connections are looked at at every look."""
        raw.syscall(calls.SYS_close, raw.load(self.table.head + layout.LOOP_BELL_FD), 0, 0, 0, 0, 0)
        raw.store(self.table.head + layout.FIRST_PAIR, 0)
        raw.store(self.table.head + layout.LINEAR, 1)
        self.make_bell()

    def adopt(self, qd):
        """The queue of a connection's new record; None where there is none for it."""
        self.table.lock()
        queue = self.table.queue_of(qd)
        fd, accepted = raw.load(queue + layout.FD) if queue else 0, bool(queue and raw.load(queue + layout.ACCEPTED))
        self.table.unlock()
        loop = self.catloop.adopt(fd, STREAM) if queue else None
        if loop is None:
            return None
        loop.accepting = accepted
        self.queues[qd] = loop
        self.table.lock()
        there = sockets.at_rest(self.table, qd)
        if there:
            join(self.table, there, loop.end)
        self.table.unlock()
        if not there:  # closed meanwhile
            self.release(qd)
            return None
        return loop

    def step(self, qd):
        """One step of a connection to the rings, alone: a fork waits for it. Who sleeps then looks what to wait for."""
        with self.catloop.steps:
            loop = self.queues.get(qd) or self.adopt(qd)
            next_step = NEVER
            had = True
            if loop is not None:
                had = raw.load(loop.end + ends.IN)
                loop.uses = self.uses(qd)
                try:
                    self.catloop.attend(loop, True)
                    next_step = min(loop.next_step, NEVER)
                except (Refused, OSError):
                    pass
                had = had or not raw.load(loop.end + ends.IN)
            self.table.lock()
            queue = self.table.queue_of(qd)
            if queue:
                raw.store(queue + layout.NEXT_STEP, next_step)
            if queue and not had and raw.load(queue + layout.END):
                attached(self.table, queue)
            if loop is not None and not had:
                self.table.wake_watcher()
            self.table.unlock()

    def uses(self, qd):
        queue = self.table.queue_of(qd)
        return raw.load(queue + layout.USES) if queue else 0

    def release(self, qd):
        """The last bytes go their way; the kernel socket is still open."""
        loop = self.queues.pop(qd, None)
        if loop is not None:
            self.catloop.release(loop)
