"""A relay carries one connection between a stack's record and the far end of a program's socket.

The program's socket is a kernel TCP socket with rings beside it, as Catloop's are; its peer, the far end, is ours and
in the same process. What the program sends is taken from the far end and given to the stack, and the other way round.
So whatever a program does with a socket (hands it on, forks, sleeps in the kernel with it) is done to a kernel socket.

Everything here is called under the gateway's lock.
"""

from libos import calls, endpoint, layout, leaving, raw, rings, spine
from libos.net import structs
from libos.net.tcp import user

COMPILED = __file__.endswith(".so")
STAGE = 65536  # bytes that are moved at once


def errno_of(error):
    """What POSIX calls one of the stack's errors."""
    if error == structs.REFUSED:
        return calls.ECONNREFUSED
    if error == structs.TIMED_OUT:
        return calls.ETIMEDOUT
    if error == structs.HOST_UNREACHABLE:
        return calls.EHOSTUNREACH
    if error == structs.NETWORK_UNREACHABLE:
        return calls.ENETUNREACH
    if error == structs.NO_MEMORY:
        return calls.ENOMEM
    if error == structs.IN_USE:
        return calls.EADDRINUSE
    if error == structs.IS_CONNECTED:
        return calls.EISCONN
    if error == structs.ALREADY:
        return calls.EALREADY
    if error == structs.NOT_CONNECTED:
        return calls.ENOTCONN
    if error == structs.ADDRESS_UNAVAILABLE:
        return calls.EADDRNOTAVAIL
    if error == structs.DENIED:
        return calls.EACCES
    if error == structs.TOO_LONG:
        return calls.EMSGSIZE
    return calls.EINVAL if error == structs.INVALID else calls.ECONNRESET


def has(relay, flag):
    return raw.load(relay + layout.R_FLAGS) & flag != 0


def mark(relay, flag):
    raw.store(relay + layout.R_FLAGS, raw.load(relay + layout.R_FLAGS) | flag)


def pump(t, relay, stage):
    """Move what can be moved, both ways, and the ends of the streams. `stage`: room for STAGE bytes."""
    if has(relay, layout.R_OVER):
        return
    at = raw.load(relay + layout.R_AT)
    if has(relay, layout.R_OPENING) and not opened(t, relay, at):
        if has(relay, layout.R_RELEASED) and not has(relay, layout.R_OVER):
            user.close(t, at)
            over(relay)
        return
    outward(t, relay, at, stage)
    if not has(relay, layout.R_OVER):
        inward(t, relay, at)
    if has(relay, layout.R_OVER) or not has(relay, layout.R_SAID):
        return
    if has(relay, layout.R_HEARD | layout.R_RELEASED):
        user.close(t, at)
        over(relay)


def opened(t, relay, at):
    """Whether the connection that the program has asked for is there; if it can't be, the program is told.

    Neither before there is a record to tell it by.
    """
    own = own_of(relay)
    if not own:
        return False
    ready = user.ready(t, at)
    if ready & (structs.FAILED | structs.HANGUP):
        fail(t, relay, at, user.take_error(t, at))
        return False
    if not ready & structs.WRITABLE:
        return False
    raw.store(relay + layout.R_FLAGS, raw.load(relay + layout.R_FLAGS) & raw.invert(layout.R_OPENING))
    leave_opening(own, layout.PLAIN)
    if raw.load(own + layout.OWNER) == rings.HERE.pid:  # another process knows its spine by another number
        endpoint.try_mark(own)
    tell(own, raw.load(relay + layout.R_FAR))
    return True


def own_of(relay):
    """The record of the program's end, which may be another process's, and another connection's by now; 0 for none."""
    own = raw.load(relay + layout.R_OWN)
    if own and raw.load(own + layout.SLOT) != raw.load(raw.load(relay + layout.R_FAR) + layout.SLOT):
        return 0
    return own


def leave_opening(own, state):
    rings.lock(own + layout.OUT_LOCK)
    if raw.load(own + layout.OUT_STATE) == layout.OPENING:
        raw.store(own + layout.OUT_STATE, state)
    rings.unlock(own + layout.OUT_LOCK)


def tell(own, far):
    """Whoever waits for room in the program's socket has something to hear. By way of the far end's addresses of what
    they share: those of the program's are another process's, where it is in one.
    """
    raw.store(own + layout.FULLS, raw.load(own + layout.FULLS) + 1)
    if raw.load(raw.load(far + layout.OUT) + layout.H_WATCHED):
        rings.soil(far)
    rings.ring_bell(far, raw.load(far + layout.IN) + layout.H_ROOM_BELL)


def outward(t, relay, at, stage):
    """From the program to the network."""
    far = raw.load(relay + layout.R_FAR)
    while not has(relay, layout.R_SAID):
        size = user.sendable(t, at)
        if size == 0:
            return
        r = endpoint.pop(far, stage, STAGE if size > STAGE else size, calls.SLEEPS)
        if r == -calls.EAGAIN:
            return
        if r == 0:
            mark(relay, layout.R_SAID)
            user.shutdown(t, at, False, True)
        elif r < 0:  # closed with bytes unread, or told to linger for no time
            abort(t, relay)
            return
        elif user.send(t, at, stage, r, False) < r:
            fail(t, relay, at, structs.BROKEN_PIPE)
            return


def inward(t, relay, at):
    """From the network to the program."""
    far = raw.load(relay + layout.R_FAR)
    count = user.in_one_piece(t, at)
    while count > 0:
        r = endpoint.push(far, user.oldest(t, at), count, calls.NOSIGNAL)
        if r == -calls.EAGAIN:
            if full(far):
                return
            continue
        if r < 0:  # nobody is there to read
            abort(t, relay)
            return
        user.taken(t, at, r)
        count = user.in_one_piece(t, at)
    leaving.settle(far)  # a program that has left its ring waits for what it had not read there
    ready = user.ready(t, at)
    if ready & structs.FAILED:
        fail(t, relay, at, user.take_error(t, at))
    elif ready & structs.PEER_CLOSED and not has(relay, layout.R_HEARD):
        mark(relay, layout.R_HEARD)
        leaving.stop_sending(far, True)
        raw.syscall(calls.SYS_shutdown, spine.fd_of(far), calls.SHUT_WR, 0, 0, 0, 0)


def full(far):
    """Whether the program still has to read before there is room; then its next read soils our bit. That bit is set
    already, for epoll sets that a far end is in none of: it is taken back.
    """
    if raw.load(far + layout.OUT_STATE) != layout.RING:
        return True
    slot = raw.load(far + layout.SLOT)
    area = raw.load(far + layout.DIRTY) ^ layout.SIDE
    word = area + layout.DIRTY_WORDS + (slot >> 6) * 8
    raw.fetch_and(word, raw.invert(raw.bit(slot & 63)))
    if not raw.load(word):
        raw.fetch_and(area, raw.invert(raw.bit(slot >> 6)))
        if raw.load(word):
            raw.fetch_or(area, raw.bit(slot >> 6))
    return rings.room(far) == 0


def abort(t, relay):
    """Reset the connection: the program has."""
    user.abort(t, raw.load(relay + layout.R_AT))
    over(relay)


def fail(t, relay, at, error):
    """The connection is lost: the program's socket is reset, and remembers why."""
    own = own_of(relay)
    if own and raw.load32(own + layout.FAULT) == 0:
        raw.store32(own + layout.FAULT, errno_of(error))
    user.abort(t, at)
    reset(relay)
    if own:
        leave_opening(own, layout.KERNEL)
        tell(own, raw.load(relay + layout.R_FAR))


def reset(relay):
    """End the far end so that the program's socket is reset behind what lies in its ring."""
    far = raw.load(relay + layout.R_FAR)
    leaving.close_inward(far)
    scratch = far + layout.OPTION
    raw.store(scratch, 0)  # AF_UNSPEC: dissolves the connection, at once (connect(2))
    raw.syscall(calls.SYS_connect, spine.fd_of(far), scratch, 8, 0, 0, 0)
    over(relay)


def over(relay):
    """Nothing is left to be done but to close the far end; the keeper sees to that."""
    mark(relay, layout.R_OVER)
