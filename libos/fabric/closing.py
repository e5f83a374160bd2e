# cython: infer_types=True
"""How connections end: with everything said, or all at once; and when their records are free again."""

from libos.fabric import structs
from libos.net import linked


def give_up_pushes(t, c, queue, error):
    """What was pushed will not arrive, as far as we know."""
    while True:
        at = linked.take(queue)
        if at == 0:
            return
        i = structs.item(at)
        if i.window >= 0:
            t.fabric.withdraw(i.window)
            i.window = -1
        i.status = error
        linked.append(structs.finished_of(c), structs.link_of(i), at)


def fail(t, c, error, say):
    """The connection is broken. `say`: the peer does not know it yet."""
    if c.state <= structs.LISTENING or c.state == structs.BROKEN:
        return
    if say and c.flags & structs.KNOWN:
        c.flags |= structs.ABORT_DUE
    leave_opening(t, c)
    if c.listener:  # its user has never seen it
        if c.state == structs.OPEN:
            linked.remove(structs.accepting_of(structs.connection(c.listener)), structs.opening_of(c))
        c.flags |= structs.ORPHAN
        c.listener = 0
    c.state = structs.BROKEN
    c.error = error
    t.broken += 1
    give_up_pushes(t, c, structs.pushes_of(c), error)
    give_up_pushes(t, c, structs.larges_of(c), error)
    t.tell(c)
    t.pend(c)


def leave_opening(t, c):
    """It is open, or never will be."""
    if c.state == structs.CALLING:
        if c.flags & structs.IN_LINE:
            linked.remove(t.calls, structs.work_of(c))
        if c.flags & structs.CALLED:
            t.calls_out -= 1
            at = linked.take(t.calls)
            if at:
                call(t, structs.connection(at))
        c.flags &= ~(structs.IN_LINE | structs.CALLED | structs.HELLO_DUE)
    elif c.state == structs.GREETING_BACK or c.state == structs.GREETED:
        if c.listener:
            structs.connection(c.listener).half_open -= 1
    else:
        return
    linked.remove(t.opening, structs.opening_of(c))


def call(t, c):
    """HELLO goes out: now, or when one of those that are out is answered."""
    if t.calls_out == structs.CALLS:
        c.flags |= structs.IN_LINE
        linked.append(t.calls, structs.work_of(c), structs.self_of(c))
        return
    t.calls_out += 1
    c.flags = c.flags & ~structs.IN_LINE | structs.CALLED | structs.HELLO_DUE
    linked.remove(t.opening, structs.opening_of(c))
    c.deadline = t.now + t.patience
    linked.append(t.opening, structs.opening_of(c), structs.self_of(c))
    t.pend(c)


def peer_gone(t, number, error):
    """Nothing reaches a peer any more: all its connections are broken."""
    p = t.peer(number)
    if p.held == 0:
        return
    k = 0
    while k < t.connections.touched:
        c = structs.connection(t.connections.slot(k))
        k += 1
        if c.state > structs.LISTENING and c.peer == number:
            fail(
                t,
                c,
                structs.CONNECTION_REFUSED if c.state == structs.CALLING and error == structs.RESET else error,
                False,
            )
            c.flags &= ~structs.ABORT_DUE
            c.peer = -1
    p.held = p.beat_at = p.beats = 0
    p.witness = 0
    t.fabric.forget(number)


def settle(t, c):
    """Give the record back, when nobody needs it any more."""
    if not c.flags & structs.ORPHAN or c.flying or c.finished.count or c.flags & structs.ABORT_DUE:
        return
    if c.state != structs.BROKEN:
        said = structs.END_HEARD | structs.PEER_ENDED
        if c.flags & said != said or c.owed or c.larges.count or c.flags & structs.SEEN_DUE:
            return
    while True:
        at = linked.take(structs.messages_of(c))
        if at == 0:
            break
        t.receives.drop(structs.item(at))
    if c.window >= 0:
        t.fabric.withdraw(c.window)
    t.receives.promised -= c.given - c.received + c.asked
    t.let_go(c)
    linked.remove(t.work, structs.work_of(c))
    linked.remove(t.events, structs.event_of(c))
    c.state = structs.FREE
    t.connections.give(structs.self_of(c))


def shut(t, c):
    """The user sends nothing more."""
    c.flags |= structs.ENDING
    t.pend(c)


def close(t, c):
    """The user wants nothing more of it. What it has pushed is still sent, unless it has left something unread."""
    c.flags |= structs.ORPHAN
    if c.state == structs.OPEN and c.messages.count == 0:
        shut(t, c)
    else:
        fail(t, c, structs.RESET, True)
    t.pend(c)
