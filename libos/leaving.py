"""The ways back to the kernel, each final for its direction of a connection: who sends ends, who receives leaves.

What the receiver has not taken the sender sends once more, through the kernel (libos/endpoint.py has the protocol).
"""

from libos import calls, layout, raw, rings, spine

COMPILED = __file__.endswith(".so")
KEEPS = 65536  # bytes that the kernel surely takes from any socket whose sends all went elsewhere


def replay(end):
    """Leave the ring: what the receiver has not taken goes through the kernel. 0 when done, else -EAGAIN. Under the
    lock.
    """
    header = raw.load(end + layout.OUT)
    leaves = raw.load(end + layout.OUT_STATE) == layout.RING or raw.load(end + layout.OUT_STATE) == layout.PARTING
    if leaves and raw.load32(end + layout.MINT) and not raw.load(header + layout.H_TAIL) & layout.CLOSED:
        return part(end, header)
    if leaves:
        if raw.load(header + layout.H_DEAF):
            finish(end)
            return 0
        tail = raw.load(end + layout.TAIL)
        head = raw.fetch_or(header + layout.H_HEAD, layout.CLOSED) & layout.POSITIONS
        raw.store(end + layout.REPLAY, head if 0 <= tail - head <= layout.BIG else tail)
        raw.store(end + layout.OUT_STATE, layout.REPLAYING)
        raw.fetch_or(header + layout.H_TAIL, layout.ENDED)
        rings.tell_receiver(end)
        rings.tell_own(end)
    # the program may not call again for long: all that it has sent is to be the kernel's then
    if send_again(end) < 0 and not (leaves and send_widely(end) == 0):
        return -calls.EAGAIN
    raw.store(end + layout.OUT_STATE, layout.KERNEL)
    raw.store(header + layout.H_RETURNED, 1)
    if raw.load32(end + layout.MINT):
        rings.tell_receiver(end)
    return 0


def part(end, header):
    """Leave a ring whose reader is beyond a fabric: he finishes it, and what the kernel has next may only come when he
    knows where that is. As replay.
    """
    if raw.load(end + layout.OUT_STATE) == layout.RING:
        raw.store(end + layout.OUT_STATE, layout.PARTING)
        raw.fetch_or(header + layout.H_TAIL, layout.ENDED)
        rings.tell_receiver(end)
        rings.tell_own(end)
    if not raw.load(header + layout.H_HEARD):
        return -calls.EAGAIN
    raw.store(end + layout.OUT_STATE, layout.KERNEL)
    return 0


def send_again(end):
    """Give the kernel what the ring still has from REPLAY on. 0 when it has all, or is lost; else -EAGAIN."""
    tail = raw.load(end + layout.TAIL)
    at = raw.load(end + layout.REPLAY)
    while at < tail:
        level = 0
        count = tail - at
        while level < raw.load(end + layout.OUT_LEVEL):
            grown = raw.load(raw.load(end + layout.OUT) + layout.H_GROWN + level * 8) - 1
            if at < grown:
                if count > grown - at:
                    count = grown - at
                break
            level += 1
        mask = rings.mask_of(level)
        if count > mask + 1 - (at & mask):
            count = mask + 1 - (at & mask)
        if spine.lost(end):
            break  # the connection is gone, and the program's next call is to hear why
        r = spine.kernel_push(end, rings.place(end, level, True) + (at & mask), count, calls.NOSIGNAL)
        if r == -calls.EAGAIN:
            return r
        if r <= 0:
            break
        at += r
        raw.store(end + layout.REPLAY, at)
    return 0


def send_widely(end):
    """As send_again, of more than the program's own limits let the kernel take: they are put off."""
    size = spine.option(end, calls.SOL_SOCKET, calls.SO_SNDBUF)
    unsent = spine.option(end, calls.IPPROTO_TCP, calls.TCP_NOTSENT_LOWAT)
    spine.set_option(end, calls.IPPROTO_TCP, calls.TCP_NOTSENT_LOWAT, -1)
    if raw.load(end + layout.LIMIT):
        spine.set_option(end, calls.SOL_SOCKET, calls.SO_SNDBUF, layout.BIG)
    r = send_again(end)
    if raw.load(end + layout.LIMIT):
        spine.set_option(end, calls.SOL_SOCKET, calls.SO_SNDBUF, size // 2)
    spine.set_option(end, calls.IPPROTO_TCP, calls.TCP_NOTSENT_LOWAT, unsent)
    return r


def finish(end):
    """We leave the ring for good, and the receiver finishes it: for what the kernel could not keep. Under the lock."""
    raw.store(end + layout.OUT_STATE, layout.KERNEL)
    raw.fetch_or(raw.load(end + layout.OUT) + layout.H_TAIL, layout.ENDED)
    rings.tell_receiver(end)


def keeps(end):
    """Bytes that the kernel surely takes when we end: seven eighths of the largest send buffer that it allows us. Under
    the lock.
    """
    size = spine.option(end, calls.SOL_SOCKET, calls.SO_SNDBUF)
    if raw.load(end + layout.LIMIT):  # of the program's choice
        spine.set_option(end, calls.SOL_SOCKET, calls.SO_SNDBUF, layout.BIG)
        largest = spine.option(end, calls.SOL_SOCKET, calls.SO_SNDBUF)
        spine.set_option(end, calls.SOL_SOCKET, calls.SO_SNDBUF, size // 2)
        size = largest
    size = size // 8 * 7
    return size if size > KEEPS else KEEPS


def settle(end):
    """Do our part of a receiver's leaving, if it has left. False while bytes are still to be sent once more."""
    if not raw.load(end + layout.OUT) or not sending(end):
        return True
    state = raw.load(end + layout.OUT_STATE)
    if not left(end) and state != layout.REPLAYING and state != layout.PARTING:
        return True
    spine.lock_out(end)
    r = replay(end) if sending(end) else 0
    rings.unlock(end + layout.OUT_LOCK)
    return r == 0


def stop_sending(end, last):
    """Our direction goes back to the kernel, which alone can end it or hand it on; `last` when nothing follows."""
    if not raw.load(end + layout.OUT):
        return
    spine.lock_out(end)
    closed = left(end)
    large = raw.load(end + layout.OUT_STATE) == layout.RING and last and rings.outbound(end) > KEEPS and not closed
    beyond = raw.load32(end + layout.MINT) != 0 and not closed
    if (large and rings.outbound(end) > keeps(end)) or (beyond and last and sending(end)):
        finish(end)
    elif sending(end):
        replay(end)
    elif raw.load(end + layout.OUT_STATE) == layout.PLAIN:
        if beyond:
            finish(end)
        raw.store(end + layout.OUT_STATE, layout.KERNEL)
    rings.unlock(end + layout.OUT_LOCK)
    rings.tell_own(end)


def shut(header):
    """Close a ring towards us: from this atomic step on no push can be published there."""
    raw.store(header + layout.H_LEAVES, 1)  # before it: who does not see this need not look at the tail
    raw.fetch_or(header + layout.H_TAIL, layout.CLOSED)


def left(end):
    """Whether the receiver has closed the ring that we send to.

    A sender asks before every push, and the tail's line is with a receiver that spins: it is fetched only when the
    receiver has said, on its own line, that it leaves.
    """
    header = raw.load(end + layout.OUT)
    return raw.load(header + layout.H_LEAVES) != 0 and raw.load(header + layout.H_TAIL) & layout.CLOSED != 0


def close_inward(end):
    """We read no more from the ring: no more can be published there. What is unread the sender sends once more."""
    header = raw.load(end + layout.IN)
    if not header:
        return
    spine.lock_in(end)
    shut(header)
    raw.store(end + layout.IN_STATE, layout.PLAIN)
    rings.unlock(end + layout.IN_LOCK)
    # whoever of the peer's threads sleeps on this connection has something to do
    rings.soil(end)
    rings.ring_bell(end, header + layout.H_ROOM_BELL)
    rings.ring_bell(end, raw.load(end + layout.OUT) + layout.H_BELL)


def unread(end):
    """Whether the peer had pushed more than we took when the ring was closed."""
    return raw.load(raw.load(end + layout.IN) + layout.H_TAIL) & layout.POSITIONS != raw.load(end + layout.HEAD)


def leave(end):
    """Back to the kernel for good, in both directions. True while bytes are on their way back through it."""
    if raw.load(end + layout.IN_STATE) == layout.MESSAGES:  # they have no way through the kernel
        return False
    if not raw.load(end + layout.LEFT):
        raw.store(end + layout.LEFT, 1)
        raw.fetch_add(end + layout.STRANGERS_IN, 1)
        raw.fetch_add(end + layout.STRANGERS_OUT, 1)
    if not raw.load(end + layout.IN):
        return False
    tail = raw.load(raw.load(end + layout.IN) + layout.H_TAIL)
    if raw.load32(end + layout.MINT) and tail & (layout.ENDED | layout.CLOSED) == layout.ENDED:
        stop_sending(end, False)
        return not settle(end)  # what is unread will not be sent again, and all of it is here
    if not tail & layout.CLOSED or raw.load(end + layout.IN_STATE) != layout.PLAIN:
        close_inward(end)
        stop_sending(end, False)
    elif raw.load32(end + layout.MINT) and raw.load(end + layout.OUT_STATE) <= layout.RING:  # not stopped yet
        stop_sending(end, False)
    if not settle(end):
        return True
    return unread(end) and not raw.load(raw.load(end + layout.IN) + layout.H_RETURNED)


def sending(end):
    """Whether what we send goes to the ring, will go there, or still has to follow what did."""
    state = raw.load(end + layout.OUT_STATE)
    return state == layout.RING or state == layout.REPLAYING or state == layout.OPENING or state == layout.PARTING
