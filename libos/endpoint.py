"""One end of a TCP connection whose bytes may be in shared memory, beside the kernel connection, the spine.

Everything is kept in raw memory (libos/layout.py), so that any thread works on it without the GIL and a forked child
shares it. A direction moves to the ring by a pair of stream offsets: the receiver agrees once none of its threads
waits in the kernel; the sender, holding its lock, publishes how many bytes it has given to the kernel (the mark) and
uses the ring from then on; the receiver reads the kernel up to the mark, then the ring.

The way back is final for a direction. A sender that leaves the ring says so in the tail and sends through the kernel
again; the receiver finishes the ring first. A receiver that leaves closes the tail, an atomic step after which no
more can be published; the sender sends what was not taken once more, through the kernel, and goes on there.

Results are counts, 0 at the end of the stream, or errors exactly as the kernel gives them.
"""

from libos import calls, layout, leaving, raw, rings, spine

COMPILED = __file__.endswith(".so")
PATIENCE = 200000000  # ns
STUCK = 1000000  # ns
NO, YES, LATER = 0, 1, 2


def look_next(end):
    """The kernel has said something about the spine: the next pop that finds the ring empty asks it."""
    raw.store(end + layout.LOOK_AT, 0)


def pop(end, address, size, flags):
    """Take at most `size` bytes from the stream, wherever they are now."""
    # urgent data and error queues are the spine's
    if raw.load(end + layout.IN_STATE) == layout.PLAIN or flags & calls.SPINE_ONLY:
        return spine.kernel_pop(end, address, size, flags)
    spine.lock_in(end)
    if raw.load(end + layout.IN_STATE) == layout.RING:
        r = pop_ring(end, address, size, flags)
    else:
        r = pop_agreed(end, address, size, flags)
    rings.unlock(end + layout.IN_LOCK)
    return r


def pop_ring(end, address, size, flags):
    """The hot path: nothing but the ring while there is something in it."""
    header = raw.load(end + layout.IN)
    if raw.load(header + layout.H_HEAD) & layout.CLOSED:
        return pop_returned(end, address, size, flags)
    there = rings.inbound_here(end)
    if there == 0:
        if raw.load(raw.load(end + layout.IN) + layout.H_TAIL) & layout.ENDED and rings.inbound(end) == 0:
            raw.store(end + layout.IN_STATE, layout.PLAIN)
            return spine.kernel_pop(end, address, size, flags & calls.KEPT)
        # nobody to ask whether the stream has ended but the spine, and it is asked now and then
        due = raw.load(end + layout.LOOK_AT)
        if due and not flags & calls.LOOK_NOW and (flags & calls.SLEEPS or raw.now() < due):
            return -calls.EAGAIN
        raw.store(end + layout.LOOK_AT, raw.now() + layout.LOOK)
        return pop_spine(end, address, size, flags)
    if size < there:
        there = size
    head = raw.load(end + layout.HEAD)
    if not flags & calls.TRUNC:
        if address < 65536 and there:
            return -calls.EFAULT
        rings.span(raw.load(end + layout.IN_RING), raw.load(end + layout.IN_MASK), head, address, there, True)
    if there < size and rings.finished(end, there):
        there = rings.across(end, address, there, size, flags)
    if not flags & calls.PEEK:
        # the only commit point; it fails when the sender has taken these bytes back
        if not raw.compare_exchange(header + layout.H_HEAD, head, head + there):
            return pop_returned(end, address, size, flags)
        raw.store(end + layout.HEAD, head + there)
        rings.tell_sender(end)
    return there


def pop_returned(end, address, size, flags):
    """The sender has taken back what lies in the ring and sends it once more, through the kernel.

    We may have told the program of those bytes, so that they are waited for: a moment, but a peer may be stopped.
    """
    limit = 0
    turns = 0
    while True:
        returned = raw.load(raw.load(end + layout.IN) + layout.H_RETURNED)
        r = spine.kernel_pop(end, address, size, flags & calls.KEPT)
        if r != -calls.EAGAIN or returned:
            break
        if turns & 63 == 0:
            raw.syscall(calls.SYS_sched_yield, 0, 0, 0, 0, 0, 0)
            if limit == 0:
                limit = raw.now() + PATIENCE
            elif raw.now() > limit:
                break
        raw.pause()
        turns += 1
    raw.store(end + layout.IN_STATE, layout.PLAIN)
    return r


def pop_spine(end, address, size, flags):
    """The ring is empty: the end of the stream, an error, or bytes of a peer that has gone back to the kernel.

    Whatever the peer did on the spine, it did after its last byte in the ring; so the ring is looked at once more.
    """
    if not spine.has_news(end):  # which takes no error away, as a receive that peeks would
        return -calls.EAGAIN
    look_next(end)  # it will have this to say again, after what may still be in the ring
    if raw.load32(end + layout.MINT) == 1:
        return ahead(end)
    if rings.inbound(end):
        return pop_ring(end, address, size, flags)
    return spine.kernel_pop(end, address, size, flags & calls.KEPT)


def ahead(end):
    """The spine has something to say that the fabric has not: that comes first, or the peer is dead."""
    raw.store(raw.load(end + layout.IN) + layout.H_NEWS, 1)
    rings.soil(end)
    return -calls.EAGAIN


def pop_agreed(end, address, size, flags):
    """Between agreement and mark: the kernel's bytes, counted, and never one beyond the mark.

    The ring's first bytes come with the last of these: a receive that is short says that there is no more, and some
    programs wait for an edge then (epoll(7)).
    """
    header = raw.load(end + layout.IN)
    left = size
    mark = raw.load(header + layout.H_MARK)
    # behind the mark is the ring, unless the sender has taken back what it had put there
    bounded = mark and not raw.load(header + layout.H_HEAD) & layout.CLOSED
    if bounded:
        left = mark - 1 - raw.load(end + layout.POSITION)
        if left == 0:
            raw.store(end + layout.IN_STATE, layout.RING)
            return pop_ring(end, address, size, flags)
        if left < 0 or left > size:
            left = size
    r = spine.kernel_pop(end, address, left, flags & calls.KEPT)
    if r == 0 and not mark and raw.load(header + layout.H_MARK):
        return pop_agreed(end, address, size, flags)  # the sender has moved and ended meanwhile: its ring comes first
    if r == 0 and size and not mark and raw.load32(end + layout.MINT) == 1:
        if not raw.load(header + layout.H_TAIL) & layout.ENDED:
            return ahead(end)
        raw.store(end + layout.IN_STATE, layout.PLAIN)  # nothing has come by the ring
    if r > 0 and not flags & calls.PEEK:
        raw.store(end + layout.POSITION, raw.load(end + layout.POSITION) + r)
    if bounded and r == left and left < size and rings.inbound(end):
        if not flags & calls.PEEK:
            raw.store(end + layout.IN_STATE, layout.RING)
        left = pop_ring(end, address + r, size - r, flags)
        if left > 0:
            r += left
    return r


def push(end, address, size, flags):
    """Give at most `size` bytes to the stream, as many as there is room for."""
    if raw.load(end + layout.OUT) == 0:
        return spine.kernel_push(end, address, size, flags)
    spine.lock_out(end)
    r = push_locked(end, address, size, flags)
    rings.unlock(end + layout.OUT_LOCK)
    return r


def push_locked(end, address, size, flags):
    header = raw.load(end + layout.OUT)
    if raw.load(end + layout.OUT_STATE) == layout.PLAIN:
        if raw.load(header + layout.H_AGREED) == 1 and raw.load(end + layout.STRANGERS_OUT) == 0:
            publish_mark(end)
    if raw.load(end + layout.OUT_STATE) == layout.OPENING and not spine.lost(end):
        return -calls.EAGAIN
    if raw.load(end + layout.OUT_STATE) != layout.RING or flags & calls.SPINE_ONLY:
        return push_beside(end, address, size, flags)
    free = rings.capacity(end)
    used = raw.load(end + layout.TAIL) - raw.load(end + layout.SEEN_HEAD)
    free = free - used if used < free else 0
    if free < size:
        # the peer's line is only fetched when what we remember of it is not enough
        raw.store(end + layout.SEEN_HEAD, raw.load(end + layout.TAIL) - rings.outbound(end))
        if raw.load(end + layout.OUT_LEVEL) == 0 and rings.room(end) < size:
            rings.grow(end)
        free = rings.room(end)
        if free == 0 and size:
            return full(end, address, size, flags)
        if free < size:
            rings.owe_edge(end)
    if size < free:
        free = size
    if address < 65536 and free:
        return -calls.EFAULT
    tail = raw.load(end + layout.TAIL)
    rings.span(raw.load(end + layout.OUT_RING), raw.load(end + layout.OUT_MASK), tail, address, free, False)
    # the only commit point; it fails when the receiver has closed the ring
    if not raw.compare_exchange(header + layout.H_TAIL, tail, tail + free):
        return push_beside(end, address, size, flags)
    raw.store(end + layout.TAIL, tail + free)
    rings.tell_receiver(end)
    # the line that the next bytes begin comes from the receiver's core meanwhile
    raw.claim(raw.load(end + layout.OUT_RING) + (tail + free + 63 & ~63 & raw.load(end + layout.OUT_MASK)))
    return free


def full(end, address, size, flags):
    """No room. Who said goodbye and does not read may be gone: the kernel finds out by what it is given."""
    if leaving.left(end) or spine.hung_up(end):
        return push_beside(end, address, size, flags)
    if stretched(end) == YES:
        return push_locked(end, address, size, flags)
    rings.owe_edge(end)
    return -calls.EAGAIN


def push_beside(end, address, size, flags):
    """A push of a direction that is not in the ring, or is no more."""
    if leaving.sending(end) and leaving.replay(end) < 0:
        return -calls.EAGAIN
    return push_last(end, address, size, flags)


def push_last(end, address, size, flags):
    """A push to the kernel. What it refuses tells of an end that a pop is to hear of too."""
    r = spine.kernel_push(end, address, size, flags)
    if r < 0:
        look_next(end)
    return r


def try_mark(end):
    """Before a push that may wait: use the ring if the peer has agreed and no thread of ours is in the kernel with
    one.
    """
    if raw.load(raw.load(end + layout.OUT) + layout.H_AGREED) == 1:
        spine.lock_out(end)
        if raw.load(end + layout.OUT_STATE) == layout.PLAIN and raw.load(end + layout.STRANGERS_OUT) == 0:
            publish_mark(end)
        rings.unlock(end + layout.OUT_LOCK)


def publish_mark(end):
    """Our direction moves to the ring at the number of bytes that the kernel has had from us (tcp(7), TCP_INFO)."""
    sent = raw.kernel_sent(spine.fd_of(end))
    if sent >= 0:
        raw.store(raw.load(end + layout.OUT) + layout.H_MARK, sent + 1)
        raw.store(end + layout.OUT_STATE, layout.RING)


def inward(end):
    """The position after the last byte that the peer has put into the ring towards us."""
    return raw.load(raw.load(end + layout.IN) + layout.H_TAIL) & layout.POSITIONS


def upgraded(end):
    """Whether any direction has left the kernel: then a wait has to look at the rings too."""
    return raw.load(end + layout.IN_STATE) != layout.PLAIN or leaving.sending(end)


def in_rings(end):
    """Whether both directions have left the kernel: the spine has hardly anything to say."""
    return raw.load(end + layout.IN_STATE) == layout.RING and raw.load(end + layout.OUT_STATE) == layout.RING


def ready(end, mask):
    """Which of READABLE (1) and WRITABLE (2) the rings have; the spine's own readiness is the kernel's to say. FAILED
    (8), of datagrams only: an error is to be told.
    """
    r = 0
    if raw.load(end + layout.IN_STATE) == layout.MESSAGES:
        if mask & 1 and rings.inbound(end):
            r = 1
        return r | 8 if raw.load32(end + layout.FAULT) else r
    if mask & 1 and raw.load(end + layout.IN_STATE) != layout.PLAIN:
        if raw.load(end + layout.IN_STATE) == layout.AGREED:
            reach_mark(end)
        if raw.load(end + layout.IN_STATE) == layout.RING and rings.inbound(end) > raw.load(end + layout.LOWAT):
            r = 1
    if mask & 2 and raw.load(end + layout.OUT_STATE) == layout.RING and writable(end):
        r |= 2
    return r


def writable(end):
    """Room worth waking up for: a quarter of the ring, or a larger ring to grow into, or nobody who reads it."""
    if raw.load(end + layout.OUT_LEVEL) == 0 and not raw.load(end + layout.LIMIT):
        return True
    if rings.room(end) * 4 >= rings.capacity(end):
        return True
    return leaving.left(end)


def reader_left(end):
    """Whether the reader of our ring has left it, and our part of that is still to be done (leaving.settle): what makes
    a sender look, but no room yet, since what was not read comes first.
    """
    return raw.load(end + layout.OUT_STATE) == layout.RING and leaving.left(end)


def reach_mark(end):
    """The kernel's bytes may be all read."""
    spine.lock_in(end)
    if (
        raw.load(end + layout.IN_STATE) == layout.AGREED
        and raw.load(raw.load(end + layout.IN) + layout.H_MARK) == raw.load(end + layout.POSITION) + 1
    ):
        raw.store(end + layout.IN_STATE, layout.RING)
    rings.unlock(end + layout.IN_LOCK)


def room_after_goodbye(end):
    """Whether a push to a peer that sends no more, and may be gone, would get something in. What such a peer has not
    read of a full ring goes back to the kernel, which alone can tell.
    """
    if raw.load(end + layout.OUT_STATE) == layout.RING and (not writable(end) or reader_left(end)):
        leaving.stop_sending(end, False)
    if leaving.sending(end):
        return raw.load(end + layout.OUT_STATE) == layout.RING
    return spine.spine_writable(end)


def stretch(end):
    """Before a sender sleeps. False when it should look again in a millisecond: the ring may have grown by then."""
    spine.lock_out(end)
    r = stretched(end)
    rings.unlock(end + layout.OUT_LOCK)
    return r != LATER


def stretched(end):
    """A peer that has taken nothing for a millisecond gets as much as the kernel would keep. Under the lock."""
    if raw.load(end + layout.OUT_STATE) != layout.RING or writable(end) or not rings.growable(end):
        return NO
    head = raw.load(raw.load(end + layout.OUT) + layout.H_HEAD)
    if raw.load(end + layout.FULL_HEAD) != head + 1:
        raw.store(end + layout.FULL_HEAD, head + 1)
        raw.store(end + layout.FULL_AT, raw.now())
        return LATER
    if raw.now() - raw.load(end + layout.FULL_AT) < STUCK:
        return LATER
    raw.store(end + layout.KEPT, leaving.keeps(end))
    rings.grow(end)
    return YES
