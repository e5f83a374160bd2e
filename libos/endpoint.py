"""One end of an upgraded TCP connection: a byte ring in each direction beside the kernel connection, the spine.

Everything is kept in raw memory (libos/layout.py), so that any thread works on it without the GIL and a forked child shares
it. The record is ours alone and holds the authoritative positions; the headers of the two directions are mapped by the peer
too, and what is read there is checked before it is used.

A direction moves to the ring by a pair of stream offsets. The receiver agrees once none of its threads waits in the kernel;
the sender, holding its lock, publishes how many bytes it has given to the kernel (the mark) and uses the ring from then on;
the receiver reads the kernel up to the mark, then the ring. The way back needs no hand-shake: a sender that stops using
the ring for good sends through the kernel again, and a receiver that finds its ring empty looks at the spine.

Results are counts, 0 at the end of the stream, or errors exactly as the kernel gives them.
"""

from libos import calls, layout, raw

COMPILED = __file__.endswith(".so")


def lock(at):
    """Take the lock word at `at`. Holders never sleep; signal handlers are put off while one is held."""
    turns = 0
    while not raw.compare_exchange(at, 0, 1):
        raw.pause()
        turns += 1
        if turns & 1023 == 0:
            raw.syscall(calls.SYS_sched_yield, 0, 0, 0, 0, 0, 0)


def unlock(at):
    raw.store(at, 0)


def span(ring, mask, at, address, count, outward):
    """Copy `count` bytes between position `at` of a ring and `address`; `outward` from the ring."""
    offset = at & mask
    first = mask + 1 - offset
    if first > count:
        first = count
    if outward:
        raw.copy(address, ring + offset, first)
        if count > first:
            raw.copy(address + first, ring, count - first)
    else:
        raw.copy(ring + offset, address, first)
        if count > first:
            raw.copy(ring, address + first, count - first)


def inbound(end):
    """Bytes in the ring towards us. A tail that can't be is a hostile peer's, and its own loss: nothing is there."""
    used = raw.load(raw.load(end + layout.IN) + layout.H_TAIL) - raw.load(end + layout.HEAD)
    if used < 0 or used > raw.load(end + layout.MASK) + 1:
        return 0
    return used


def outbound(end):
    """Bytes in the ring towards the peer that it has not taken."""
    used = raw.load(end + layout.TAIL) - raw.load(raw.load(end + layout.OUT) + layout.H_HEAD)
    if used < 0 or used > raw.load(end + layout.MASK) + 1:
        return raw.load(end + layout.MASK) + 1
    return used


def ring_bell(end, word):
    """Wake whoever sleeps on the direction word at `word`: publish, fence, look, and its mirror image on the other side."""
    raw.fence()
    bell = raw.load(word)
    if bell == 0 or bell > 63 or raw.load(raw.load(end + layout.PEER_BELLS) + bell * 64) == 0:
        return
    # EAGAIN means that it is ringing already; a peer that is gone needs no bell
    name = raw.load(end + layout.PEER_NAMES) + bell * 64
    raw.syscall(calls.SYS_sendto, raw.load(end + layout.BELL_SOCKET), name, 1, calls.DONTWAIT, name + 8, raw.load(name))


def hung_up(end):
    """Whether the peer has closed its direction of the spine, or the whole (poll(2), POLLRDHUP)."""
    raw.store32(end + layout.SCRATCH, raw.load(end + layout.FD))
    raw.store32(end + layout.SCRATCH + 4, calls.POLLRDHUP)
    return raw.syscall(calls.SYS_poll, end + layout.SCRATCH, 1, 0, 0, 0, 0) > 0


def spine_writable(end):
    """Whether the kernel would take bytes now (poll(2), POLLOUT)."""
    raw.store32(end + layout.SCRATCH, raw.load(end + layout.FD))
    raw.store32(end + layout.SCRATCH + 4, calls.POLLOUT)
    return raw.syscall(calls.SYS_poll, end + layout.SCRATCH, 1, 0, 0, 0, 0) > 0


def look_next(end):
    """The kernel has said something about the spine: the next pop that finds the ring empty asks it."""
    raw.store(end + layout.EMPTY, layout.LOOK - 1)


def leave(end):
    """Back to the kernel for good, in both directions: the connection that the rings belonged to is no more."""
    raw.store(raw.load(end + layout.IN) + layout.H_CLOSED, 1)
    raw.store(end + layout.OUT_STATE, layout.KERNEL)
    raw.store(end + layout.IN_STATE, layout.PLAIN)


def pop(end, address, size, flags):
    """Take at most `size` bytes from the stream, wherever they are now."""
    if raw.load(end + layout.IN_STATE) == layout.PLAIN:
        return raw.syscall(
            calls.SYS_recvfrom, raw.load(end + layout.FD), address, size, flags | calls.DONTWAIT, 0, 0
        )
    if flags & calls.SPINE_ONLY:  # urgent data, error queues: the spine's
        return raw.syscall(
            calls.SYS_recvfrom, raw.load(end + layout.FD), address, size, flags | calls.DONTWAIT, 0, 0
        )
    lock(end + layout.IN_LOCK)
    if raw.load(end + layout.IN_STATE) == layout.RING:
        r = pop_ring(end, address, size, flags)
    else:
        r = pop_agreed(end, address, size, flags)
    unlock(end + layout.IN_LOCK)
    return r


def pop_ring(end, address, size, flags):
    """The hot path: nothing but the ring while there is something in it."""
    there = inbound(end)
    if there == 0:
        # nobody to ask whether the stream has ended but the spine, and it is asked now and then
        there = raw.load(end + layout.EMPTY) + 1
        raw.store(end + layout.EMPTY, there)
        if there % layout.LOOK and not flags & calls.LOOK_NOW:
            return -calls.EAGAIN
        return pop_spine(end, address, size, flags)
    if size < there:
        there = size
    if address < 65536:
        return -calls.EFAULT
    if not flags & calls.TRUNC:
        span(raw.load(end + layout.IN_RING), raw.load(end + layout.MASK), raw.load(end + layout.HEAD), address, there, True)
    if not flags & calls.PEEK:
        raw.store(end + layout.HEAD, raw.load(end + layout.HEAD) + there)
        raw.store(raw.load(end + layout.IN) + layout.H_HEAD, raw.load(end + layout.HEAD))
        ring_bell(end, raw.load(end + layout.IN) + layout.H_ROOM_BELL)
    return there


def pop_spine(end, address, size, flags):
    """The ring is empty: the end of the stream, an error, or bytes of a peer that has gone back to the kernel.

    Whatever the peer did on the spine, it did after its last byte in the ring; so the ring is looked at once more.
    """
    r = raw.syscall(
        calls.SYS_recvfrom, raw.load(end + layout.FD), address, size, flags & calls.KEPT | calls.DONTWAIT | calls.PEEK, 0, 0
    )
    if r == -calls.EAGAIN:
        return r
    if inbound(end):
        return pop_ring(end, address, size, flags)
    if r <= 0 or flags & calls.PEEK:
        return r
    return raw.syscall(
        calls.SYS_recvfrom, raw.load(end + layout.FD), address, size, flags & calls.KEPT | calls.DONTWAIT, 0, 0
    )


def pop_agreed(end, address, size, flags):
    """Between agreement and mark: the kernel's bytes, counted, and never one beyond the mark."""
    left = size
    mark = raw.load(raw.load(end + layout.IN) + layout.H_MARK)
    if mark:
        left = mark - 1 - raw.load(end + layout.POSITION)
        if left == 0:
            raw.store(end + layout.IN_STATE, layout.RING)
            return pop_ring(end, address, size, flags)
        if left < 0 or left > size:
            left = size
    r = raw.syscall(
        calls.SYS_recvfrom, raw.load(end + layout.FD), address, left, flags & calls.KEPT | calls.DONTWAIT, 0, 0
    )
    if r > 0 and not flags & calls.PEEK:
        raw.store(end + layout.POSITION, raw.load(end + layout.POSITION) + r)
    return r


def push(end, address, size, flags):
    """Give at most `size` bytes to the stream, as many as there is room for."""
    if raw.load(end + layout.OUT) == 0:
        return raw.syscall(calls.SYS_sendto, raw.load(end + layout.FD), address, size, flags | calls.DONTWAIT, 0, 0)
    lock(end + layout.OUT_LOCK)
    r = push_locked(end, address, size, flags)
    unlock(end + layout.OUT_LOCK)
    return r


def push_locked(end, address, size, flags):
    header = raw.load(end + layout.OUT)
    if raw.load(end + layout.OUT_STATE) == layout.PLAIN:
        if raw.load(header + layout.H_AGREED) == 1 and raw.load(end + layout.STRANGERS_OUT) == 0:
            publish_mark(end)
    if raw.load(end + layout.OUT_STATE) == layout.RING and (raw.load(header + layout.H_CLOSED) or flags & calls.SPINE_ONLY):
        raw.store(end + layout.OUT_STATE, layout.KERNEL)  # for good: the kernel knows what a closed peer means
    if raw.load(end + layout.OUT_STATE) != layout.RING:
        return raw.syscall(calls.SYS_sendto, raw.load(end + layout.FD), address, size, flags | calls.DONTWAIT, 0, 0)
    used = raw.load(end + layout.MASK) + 1 - (raw.load(end + layout.TAIL) - raw.load(end + layout.SEEN_HEAD))
    if used < size:
        # the peer's line is only fetched when what we remember of it is not enough
        used = raw.load(end + layout.MASK) + 1 - outbound(end)
        raw.store(end + layout.SEEN_HEAD, raw.load(end + layout.TAIL) - (raw.load(end + layout.MASK) + 1 - used))
    if used == 0 and size and hung_up(end):
        # who said goodbye and does not read is gone, or reads what comes through the kernel after the ring
        raw.store(end + layout.OUT_STATE, layout.KERNEL)
        return raw.syscall(calls.SYS_sendto, raw.load(end + layout.FD), address, size, flags | calls.DONTWAIT, 0, 0)
    if used == 0:
        raw.store(end + layout.FULLS, raw.load(end + layout.FULLS) + 1)
        return -calls.EAGAIN if size else 0
    if size < used:
        used = size
    if address < 65536:
        return -calls.EFAULT
    span(raw.load(end + layout.OUT_RING), raw.load(end + layout.MASK), raw.load(end + layout.TAIL), address, used, False)
    raw.store(end + layout.TAIL, raw.load(end + layout.TAIL) + used)
    raw.store(header + layout.H_TAIL, raw.load(end + layout.TAIL))
    ring_bell(end, header + layout.H_BELL)
    return used


def try_mark(end):
    """Before a push that may wait: use the ring if the peer has agreed and no thread of ours is in the kernel with one."""
    if raw.load(raw.load(end + layout.OUT) + layout.H_AGREED) == 1:
        lock(end + layout.OUT_LOCK)
        if raw.load(end + layout.OUT_STATE) == layout.PLAIN and raw.load(end + layout.STRANGERS_OUT) == 0:
            publish_mark(end)
        unlock(end + layout.OUT_LOCK)


def publish_mark(end):
    """Our direction moves to the ring at the number of bytes that the kernel has had from us (tcp(7), TCP_INFO)."""
    sent = raw.kernel_sent(raw.load(end + layout.FD))
    if sent >= 0:
        raw.store(raw.load(end + layout.OUT) + layout.H_MARK, sent + 1)
        raw.store(end + layout.OUT_STATE, layout.RING)


def inward(end):
    """The position after the last byte that the peer has put into the ring towards us."""
    return raw.load(raw.load(end + layout.IN) + layout.H_TAIL)


def upgraded(end):
    """Whether any direction has left the kernel: then a wait has to look at the rings too."""
    return raw.load(end + layout.IN_STATE) != layout.PLAIN or raw.load(end + layout.OUT_STATE) == layout.RING


def ready(end, mask):
    """Which of READABLE (1) and WRITABLE (2) the rings have; the spine's own readiness is the kernel's to say."""
    r = 0
    if mask & 1 and raw.load(end + layout.IN_STATE) != layout.PLAIN:
        if raw.load(end + layout.IN_STATE) == layout.AGREED:
            lock(end + layout.IN_LOCK)
            if (
                raw.load(end + layout.IN_STATE) == layout.AGREED
                and raw.load(raw.load(end + layout.IN) + layout.H_MARK) == raw.load(end + layout.POSITION) + 1
            ):
                raw.store(end + layout.IN_STATE, layout.RING)
            unlock(end + layout.IN_LOCK)
        if raw.load(end + layout.IN_STATE) == layout.RING and inbound(end):
            r = 1
    if mask & 2 and raw.load(end + layout.OUT_STATE) == layout.RING:
        if outbound(end) <= raw.load(end + layout.MASK) or raw.load(raw.load(end + layout.OUT) + layout.H_CLOSED):
            r |= 2
    return r


def arm(end, bell, mask):
    """Have the peer ring our `bell` for what `mask` waits. False when another thread sleeps on this end already."""
    word = raw.load(end + layout.IN) + layout.H_BELL
    if mask & 2:
        word = raw.load(end + layout.OUT) + layout.H_ROOM_BELL
    other = raw.load(word)
    if other == bell:
        return True
    if 0 < other < 64 and raw.load(raw.load(end + layout.OUR_BELLS) + other * 64):
        return False
    raw.store(word, bell)
    return True
