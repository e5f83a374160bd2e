# cython: infer_types=True
"""A turn of the machine: what is completed, what there is to do, and when to come back."""

from libos import raw
from libos.fabric import closing, opening, receiving, sending, structs
from libos.net import linked
from libos.net import structs as lists

AGAIN = 50000  # ns until the fabric is asked again, where it took nothing more
SHORTAGE = 1000000  # ns until memory is asked for again
DOUBT = 100000000  # ns in which who was heard of is as good as alive


def receive(t, completions, count, now):
    """Deal with the `count` completions at `completions`."""
    t.now = now
    t.quiet = count == 0
    k = 0
    while k < count:
        completed(t, structs.completion(completions + k * structs.completion_size()))
        k += 1


def completed(t, d):
    i = structs.item(d.context)
    if d.operation == structs.RECEIVED:
        t.receives.posted -= 1
        if d.status != structs.OK or not arrived(t, i, d):
            t.receives.recycle(i)
        return
    c = structs.connection(i.connection)
    if not c:  # a refusal
        number = i.peer
        t.sent_away(i)
        t.unheld(number)
        return
    c.flying -= 1
    number = c.peer
    status = d.status
    push = i.address if i.kind == structs.A_SEND else 0
    if status == structs.OK and number >= 0:
        t.peer(number).heard_at = t.now
    if i.kind == structs.A_SEND:
        t.sent_away(i)
    elif i.kind == structs.A_MESSAGE:
        if status == structs.OK:
            receiving.was_read(t, c, i)
    else:
        if i.kind == structs.A_WRITE:
            c.flags &= ~structs.TELLING
            t.pend(c)
        elif number >= 0:
            t.peer(number).beats -= 1
        t.items.give(structs.self_of_item(i))
    if status == structs.GONE and number >= 0:
        closing.peer_gone(t, number, structs.RESET)
    elif status != structs.OK:
        closing.fail(t, c, structs.RESET, status != structs.DENIED)
    if push:  # it was sent from where it lies
        structs.item(push).status = structs.RESET if status != structs.OK else 0
        linked.append(structs.finished_of(c), structs.link_of(structs.item(push)), push)
        t.tell(c)
    if c.state == structs.BROKEN or c.flags & structs.ORPHAN:
        t.pend(c)


def arrived(t, i, d):
    """A message. Its header is copied, then checked, then used. True: the item is kept."""
    if d.length < structs.HEADER or d.length > t.receives.size:
        t.strays += 1
        return False
    raw.copy(t.scratch, i.buffer, structs.HEADER)
    h = structs.header(t.scratch)
    if h.mark != structs.MARK or h.zero != 0 or h.length != d.length - structs.HEADER:
        t.strays += 1
        return False
    t.received += 1
    if h.kind == structs.HELLO:
        opening.hello(t, i.buffer + structs.HEADER, h, d.peer)
        return False
    c = t.find(h.connection, h.token)
    if not c or (t.fabric.capabilities & structs.SOURCE and d.peer != c.peer):
        t.strays += 1
        return False
    if c.peer >= 0:
        t.peer(c.peer).heard_at = t.now
    if c.state == structs.CALLING:
        if h.kind == structs.WELCOME and c.flags & structs.CALLED:
            opening.welcome(t, c, i.buffer + structs.HEADER, h)
        elif h.kind == structs.REFUSED:
            closing.fail(t, c, structs.CONNECTION_REFUSED, False)
        else:
            closing.fail(t, c, structs.RESET, False)
        return False
    if c.state == structs.BROKEN:
        return False
    if h.kind == structs.ABORT:
        closing.fail(t, c, structs.RESET, False)
        return False
    if c.state == structs.GREETING_BACK or not receiving.credited(t, c, h):
        return False
    if h.kind == structs.REPLY:
        receiving.replied(t, c, h)
        if c.state == structs.GREETED:
            opening.opened(t, c)
        return False
    if h.kind == structs.DATA or h.kind == structs.LARGE or h.kind == structs.END:
        return receiving.message(t, c, i, h)
    closing.fail(t, c, structs.RESET, True)
    return False


def poll(t, now):
    """Everything that can be done now, for each connection in its turn."""
    t.now = now
    t.receives.fill()
    if t.quiet:
        t.receives.spend()
    look_after_time(t)
    t.retry_at = 0
    turns = lists.queue(t.work).count + (1 if t.stuck else 0)
    while turns > 0:
        turns -= 1
        at = t.stuck if t.stuck else linked.take(t.work)
        t.stuck = 0
        if at == 0:
            return
        c = structs.connection(at)
        result = attend(t, c)
        if result == structs.STUCK:  # and it is its turn still
            t.stuck = at
            t.retry_at = now + AGAIN
            return
        if result != structs.DONE:
            t.pend(c)
        if result == structs.SHORT:
            t.retry_at = now + SHORTAGE


def look_after_time(t):
    """Openings that take too long, and peers that say nothing."""
    while True:
        at = linked.first(t.opening)
        if at == 0 or structs.connection(at).deadline > t.now:
            break
        closing.fail(t, structs.connection(at), structs.TIMED_OUT, True)
    if t.beats_at == 0 or t.now < t.beats_at:
        return
    t.beats_at = 0
    number = 0
    while number < t.peers_seen:
        p = t.peer(number)
        if p.held:
            t.beats_at = t.now + t.patience // 4
            if p.beat_at and p.heard_at >= p.beat_at:
                p.beat_at = 0
            if p.beat_at and t.now - p.beat_at >= t.patience:
                closing.peer_gone(t, number, structs.TIMED_OUT)
            elif t.now - p.heard_at >= t.patience and p.beats == 0:
                beat(t, number, p)
        number += 1


def beat(t, number, p):
    """Ask a peer whether it lives: read from a mailbox of its."""
    c = structs.connection(p.witness)
    if not c or c.state != structs.OPEN:
        c = another(t, number)
        if not c:  # what is out to it seems to stay there
            if p.beat_at == 0:
                p.beat_at = t.now
            return
        p.witness = structs.self_of(c)
    at = t.request(c, structs.A_BEAT)
    if at == 0:
        return
    q = structs.piece(t.pieces)
    q.address = c.mailbox + 48
    q.length = 8
    q.region = t.region
    if t.fabric.read(number, t.pieces, 1, c.their_mailbox, c.their_key, at):
        c.flying += 1
        p.beats += 1
    else:  # the fabric may be full for now, or try in vain to reach it
        t.items.give(at)
        t.beats_at = t.now + t.patience // 64
    if p.beat_at == 0:
        p.beat_at = t.now


def doubt(t, at):
    """The peer of a connection may be dead: it is asked soon, though it was heard of not long ago."""
    c = structs.connection(at)
    if c.peer < 0:
        return
    p = t.peer(c.peer)
    if p.beats == 0 and p.beat_at == 0 and t.now - p.heard_at >= DOUBT:
        p.heard_at = t.now - t.patience
        t.beats_at = t.now


def another(t, number):
    """An open connection with a peer; a null one where there is none."""
    k = 0
    while k < t.connections.touched:
        c = structs.connection(t.connections.slot(k))
        if c.state == structs.OPEN and c.peer == number:
            return c
        k += 1
    return structs.connection(0)


def next_deadline(t):
    """When `poll` has something to do though nothing is completed; -1 for never."""
    if t.retry_at == 0 and linked.first(t.work):
        return t.now
    due = t.retry_at
    if t.beats_at and (due == 0 or t.beats_at < due):
        due = t.beats_at
    at = linked.first(t.opening)
    if at and (due == 0 or structs.connection(at).deadline < due):
        due = structs.connection(at).deadline
    return due if due else -1


def attend(t, c):
    """Do for a connection what can be done now: DONE, or what is in the way."""
    if c.state == structs.BROKEN:
        if c.flags & structs.ABORT_DUE and not say_abort(t, c):
            return structs.STUCK
        if c.flying == 0:
            t.let_go(c)
        closing.settle(t, c)
        return structs.DONE
    if c.flags & structs.HELLO_DUE or c.state == structs.GREETING_BACK:
        return opening.greet(t, c)
    if c.state != structs.OPEN:
        return structs.DONE
    result = receiving.read_unread(t, c) if c.unread else structs.DONE
    if result == structs.STUCK:
        return result
    short = result == structs.SHORT or receiving.give(t, c) == structs.SHORT
    told = receiving.answer(t, c) if c.owed else receiving.report(t, c)
    result = structs.STUCK if told == structs.STUCK else sending.send_pushes(t, c)
    if result == structs.DONE and c.state == structs.OPEN:
        if c.flags & (structs.ENDING | structs.ENDED) == structs.ENDING and c.pushes.count == 0:
            result = sending.send_end(t, c)
    if result != structs.DONE:
        return result
    if short or told != structs.DONE:
        return structs.SHORT if short else told
    if c.flags & structs.ORPHAN:
        closing.settle(t, c)
    return structs.DONE


def say_abort(t, c):
    """Tell the peer that the connection is no more; false where that can't be said now."""
    if c.peer >= 0:
        at = t.outgoing()
        if at == 0 or not t.launch(c, structs.item(at), structs.ABORT, 0, 0, 0):
            return False
    c.flags &= ~structs.ABORT_DUE
    return True
