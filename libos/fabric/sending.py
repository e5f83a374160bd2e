# cython: infer_types=True
"""What the user pushes: small messages as they are, large ones by their place, from where the peer reads them.

A message takes one of the credits that the peer has given. Who takes the last says so, and is told when there are more:
so a sender that sleeps is woken, though credits also come silently, written into its mailbox.
"""

from libos import raw
from libos.fabric import closing, structs
from libos.net import linked


def push(t, at, address, length, token):
    """Send a message, which stays as it is until `finished` gives the token back. 0, or what is wrong, negative."""
    c = structs.connection(at)
    if c.state == structs.BROKEN:
        return -c.error
    if c.state != structs.OPEN:
        return -structs.NOT_CONNECTED
    if c.flags & structs.ENDING:
        return -structs.BROKEN_PIPE
    if length > c.their_largest:
        return -structs.MESSAGE_TOO_LONG
    if length > t.eager and t.regions.of(address, length) < 0:
        return -structs.INVALID
    if c.pushes.count >= structs.PUSHES:
        return -structs.WOULD_BLOCK
    item = t.items.take()
    if item == 0:
        return -structs.WOULD_BLOCK
    i = structs.item(item)
    i.kind = structs.A_PUSH
    i.address = address
    i.length = length
    i.token = token
    i.window = -1
    linked.append(structs.pushes_of(c), structs.link_of(i), item)
    t.pend(c)
    return 0


def push_at_once(t, at, address, length):
    """Send a message that is copied and has nothing to wait for: 1, and no more is heard of it. 0: nothing was done, it
    is one for `push`.
    """
    c = structs.connection(at)
    if length > t.at_once or c.state != structs.OPEN or c.flags & structs.ENDING or c.pushes.count or t.stuck:
        return 0
    if c.granted - c.sent < 2 and (not look(t, c) or c.granted - c.sent < 2):  # the last one is a question too
        return 0
    if length > c.their_buffer or length > c.their_largest:
        return 0
    t.headed(c, t.ready, structs.DATA, 0, 0, length)
    raw.copy(t.ready + structs.HEADER, address, length)
    if not t.fabric.inject(c.peer, t.ready, structs.HEADER + length):
        return 0
    c.told = c.given
    c.sent += 1
    t.sent += 1
    return 1


def finished(t, at, result):
    """Take a push whose memory is the user's again: write its token, and 0 or why it has failed, to `result`. False:
    none is there.
    """
    c = structs.connection(at)
    item = linked.take(structs.finished_of(c))
    if item == 0:
        return False
    i = structs.item(item)
    raw.store(result, i.token)
    raw.store(result + 8, i.status)
    t.items.give(item)
    if c.flags & structs.ORPHAN:
        t.pend(c)
    return True


def heard(t, c, granted, done):
    """The peer says how many messages it takes and how many large ones it has read; false where that can't be."""
    if granted > c.sent + structs.AHEAD or done > c.large_sent:
        return False
    if granted > c.granted:
        c.granted = granted
        if c.pushes.count or c.flags & structs.ENDING:
            t.pend(c)
    while c.large_done < done:
        item = linked.take(structs.larges_of(c))
        if item == 0:
            return False
        i = structs.item(item)
        t.fabric.withdraw(i.window)
        i.window = -1
        c.large_done += 1
        linked.append(structs.finished_of(c), structs.link_of(i), item)
        t.tell(c)
        t.pend(c)
    return True


def look(t, c):
    """What the peer has written into our mailbox: copied, then checked."""
    return heard(t, c, raw.load(c.mailbox), raw.load(c.mailbox + 8))


def send_pushes(t, c):
    """Send what waits, as far as credits go."""
    n = 0
    while c.pushes.count:
        if n == structs.BURST:
            return structs.MORE
        if c.granted - c.sent < 2 and not look(t, c):
            closing.fail(t, c, structs.RESET, True)
            return structs.DONE
        if c.granted == c.sent:
            return structs.DONE
        result = send_one(t, c, structs.item(linked.first(structs.pushes_of(c))))
        if result != structs.DONE:
            return result
        n += 1
    return structs.DONE


def send_one(t, c, push):
    """The first push goes out."""
    small = push.length <= t.eager and push.length <= c.their_buffer
    last = c.granted - c.sent == 1
    questions = 0 if small else 1
    if last:
        questions += 1
    if questions and not t.receives.may_ask(questions):
        return structs.SHORT
    at = t.outgoing()
    if at == 0:
        return structs.STUCK
    i = structs.item(at)
    flags = structs.LAST if last else 0
    where = small and push.length > structs.COPIED and t.regions.of(push.address, push.length) >= 0
    if small:
        if where:
            i.address = structs.self_of_item(push)
        else:
            raw.copy(i.buffer + structs.HEADER, push.address, push.length)
        if not t.launch(c, i, structs.DATA, flags, 0, push.length):
            return structs.STUCK
    else:
        region = t.regions.of(push.address, push.length)
        if region >= 0:
            push.window = t.fabric.expose(region, push.address, push.length, structs.MAY_READ, c.peer)
        if push.window < 0:
            t.sent_away(i)
            return structs.SHORT
        g = structs.large(i.buffer + structs.HEADER)
        g.address = t.fabric.base(push.window)
        g.key = t.fabric.key(push.window)
        g.length = push.length
        if not t.launch(c, i, structs.LARGE, flags, 0, structs.LARGE_SIZE):
            t.fabric.withdraw(push.window)
            push.window = -1
            return structs.STUCK
    c.asked += questions
    t.receives.promised += questions
    c.sent += 1
    linked.remove(structs.pushes_of(c), structs.link_of(push))
    if where:
        return structs.DONE  # it is finished when the message is away
    if small:
        linked.append(structs.finished_of(c), structs.link_of(push), structs.self_of_item(push))
        t.tell(c)
    else:
        c.large_sent += 1
        linked.append(structs.larges_of(c), structs.link_of(push), structs.self_of_item(push))
    return structs.DONE


def send_end(t, c):
    """Nothing more comes. It needs a credit, as a message does, and is answered by who has seen it."""
    if c.granted - c.sent < 2 and not look(t, c):
        closing.fail(t, c, structs.RESET, True)
        return structs.DONE
    if c.granted == c.sent:
        return structs.DONE
    if not t.receives.may_ask(1):
        return structs.SHORT
    at = t.outgoing()
    if at == 0 or not t.launch(c, structs.item(at), structs.END, 0, 0, 0):
        return structs.STUCK
    c.asked += 1
    t.receives.promised += 1
    c.sent += 1
    c.flags |= structs.ENDED
    return structs.DONE
