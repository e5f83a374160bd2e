# cython: infer_types=True
"""What the peer sends: messages in their order, large ones read from where they lie; and what it is told of that.

Credits are given as the user takes messages. While the peer has some left it is told by a report, written into its
mailbox; a peer that has run out, and whoever waits for large messages to be read, gets an answer.
"""

from libos import raw
from libos.fabric import closing, sending, structs
from libos.net import linked


def message(t, c, i, h):
    """DATA, LARGE or END has come, in the buffer of `i`. True: the item is kept."""
    if c.state != structs.OPEN or c.received >= c.given or c.flags & structs.PEER_ENDED:
        closing.fail(t, c, structs.RESET, True)
        return False
    c.received += 1
    t.receives.promised -= 1
    if h.flags & structs.LAST:
        if c.given > c.received:  # meanwhile we had given more
            c.owed += 1
        else:
            c.flags |= structs.STARVING
        c.quota = c.quota * 2 if c.quota * 2 < t.window else t.window
        t.pend(c)
    if h.kind == structs.END:
        if h.length != 0:
            closing.fail(t, c, structs.RESET, True)
            return False
        c.flags |= structs.PEER_ENDED | structs.SEEN_DUE
        c.owed += 1
        t.tell(c)
        t.pend(c)
        return False
    if c.flags & structs.ORPHAN:  # nobody will read it
        closing.fail(t, c, structs.RESET, True)
        return False
    if h.kind == structs.LARGE:
        g = structs.large(i.buffer + structs.HEADER)
        if h.length != structs.LARGE_SIZE or g.length == 0 or g.length > t.largest:
            closing.fail(t, c, structs.RESET, True)
            return False
        i.state = structs.UNREAD
        i.length = g.length
        i.remote = g.address
        i.key = g.key
        i.token = 1
        c.unread += 1
    else:
        i.state = structs.READY
        i.address = i.buffer + structs.HEADER
        i.length = h.length
        i.token = 0
    i.kind = structs.A_MESSAGE
    i.connection = structs.self_of(c)
    linked.append(structs.messages_of(c), structs.link_of(i), structs.self_of_item(i))
    t.tell(c)
    if c.unread or news(c):
        t.pend(c)
    return True


def news(c):
    """Whether the peer is to be told of what it may send: it knows of less than half of what it may have on its way.
    Before that an answer of the user's may say it.
    """
    return c.given != c.told and (c.told - c.received) * 2 < c.quota


def ready(c):
    """Whether the next message is there, all of it."""
    at = linked.first(structs.messages_of(c))
    return at != 0 and structs.item(at).state == structs.READY


def pending(c):
    """Bytes of the messages that are there, up to the first that is not."""
    total = 0
    at = linked.first(structs.messages_of(c))
    while at and structs.item(at).state == structs.READY:
        total += structs.item(at).length
        at = structs.item(at).link.next
    return total


def pop(t, at, result):
    """Take the next message: write the addresses of its buffer and of its first byte, and its length, to `result`; the
    buffer is the user's to free. 1, 0 at the end of all, or what is wrong, negative.
    """
    c = structs.connection(at)
    if c.state < structs.OPEN:
        return -structs.NOT_CONNECTED
    if ready(c):
        item = linked.take(structs.messages_of(c))
        hand_over(t, structs.item(item), result)
        if give(t, c) == structs.SHORT or c.owed or news(c):
            t.pend(c)
        return 1
    if c.state == structs.BROKEN:
        return -c.error
    if c.flags & structs.PEER_ENDED and c.messages.count == 0:
        return 0
    return -structs.WOULD_BLOCK


def hand_over(t, i, result):
    """A message becomes the user's: a small one in a buffer of its size, so that its receive can be posted again."""
    small = 0
    if i.length <= structs.COPIED and i.token == 0:
        small = t.buffers.alloc(i.length if i.length else 1)
    if small:
        raw.copy(small, i.address, i.length)
        raw.store(result, small)
        raw.store(result + 8, small)
        raw.store(result + 16, i.length)
        i.kind = structs.A_RECEIVE
        t.receives.put_by(i)
        return
    raw.store(result, i.buffer)
    raw.store(result + 8, i.address)
    raw.store(result + 16, i.length)
    t.items.give(structs.self_of_item(i))


def read_unread(t, c):
    """Begin to read the large messages whose turn it is."""
    at = linked.first(structs.messages_of(c))
    while at and c.unread:
        i = structs.item(at)
        at = i.link.next
        if i.state == structs.UNREAD:
            result = read_one(t, c, i)
            if result != structs.DONE:
                return result
    return structs.DONE


def read_one(t, c, i):
    buffer = t.buffers.alloc(i.length)
    if buffer == 0:
        return structs.SHORT
    p = structs.piece(t.pieces)
    region = t.regions.of(buffer, i.length)
    if region >= 0:
        p.address = buffer
        p.length = i.length
        p.region = region
        if t.fabric.read(c.peer, t.pieces, 1, i.remote, i.key, structs.self_of_item(i)):
            t.buffers.free(i.buffer)
            i.buffer = i.address = buffer
            i.state = structs.BEING_READ
            c.unread -= 1
            c.flying += 1
            return structs.DONE
    t.buffers.free(buffer)
    return structs.STUCK if region >= 0 else structs.SHORT


def was_read(t, c, i):
    """A large message is here."""
    t.read += 1
    i.state = structs.READY
    c.owed += 1
    at = linked.first(structs.messages_of(c))
    while at:  # what the peer is told counts those that are here with all before them
        i = structs.item(at)
        if i.token:
            if i.state != structs.READY:
                break
            if i.token == 1:
                c.large_read += 1
                i.token = 2
        at = i.link.next
    t.tell(c)
    t.pend(c)


def fair(t, c):
    """Messages that a connection may have on its way to us: its quota, or its share of all receives."""
    share = (t.fabric.receives - structs.RESERVE) // t.connections.used
    if share < 1:
        share = 1
    return c.quota if c.quota < share else share


def give(t, c):
    """Let the peer send more, as the user takes what has come; after a close it still has to say END."""
    if c.state != structs.OPEN or c.flags & structs.PEER_ENDED:
        return structs.DONE
    out = c.given - c.received
    more = c.quota - c.messages.count - out
    if more <= 0 or (more * 2 < c.quota and out):
        return structs.DONE  # nor with a smaller share
    quota = fair(t, c)
    more = quota - c.messages.count - out
    if more <= 0 or (more * 2 < quota and out):
        return structs.DONE
    n = t.receives.promise(more, 1 if out == 0 else 0)
    c.given += n
    if n and c.flags & structs.STARVING:
        c.flags &= ~structs.STARVING
        c.owed += 1
    return structs.DONE if n or out else structs.SHORT


def answer(t, c):
    """Answer all questions at once."""
    if c.flags & structs.SEEN_DUE and c.flags & structs.TELLING:
        return structs.DONE  # after it nothing of ours is written into the mailbox
    at = t.outgoing()
    if at == 0:
        return structs.STUCK
    n = c.owed if c.owed < 255 else 255
    flags = structs.END_SEEN if c.flags & structs.SEEN_DUE else 0
    if not t.launch(c, structs.item(at), structs.REPLY, flags, n, 0):
        return structs.STUCK
    c.owed -= n
    c.flags &= ~structs.SEEN_DUE
    return structs.DONE


def report(t, c):
    """Write credits into the peer's mailbox, where there is enough to say and no report on its way."""
    if not news(c) or c.flags & (structs.TELLING | structs.PEER_ENDED):
        return structs.DONE
    if (c.given - c.told) * 2 < fair(t, c):
        return structs.DONE
    at = t.request(c, structs.A_WRITE)
    if at == 0:
        return structs.STUCK
    raw.store(c.mailbox + 32, c.given)
    raw.store(c.mailbox + 40, c.large_read)
    p = structs.piece(t.pieces)
    p.address = c.mailbox + 32
    p.length = structs.REPORT
    p.region = t.region
    if not t.fabric.write(c.peer, t.pieces, 1, c.their_mailbox, c.their_key, at):
        t.items.give(at)
        return (
            structs.SHORT
        )  # nobody else has to wait for that; and it is not tried without end while time stands still
    c.flags |= structs.TELLING
    c.flying += 1
    c.told = c.given
    t.reported += 1
    return structs.DONE


def replied(t, c, h):
    """REPLY has come: our questions are answered, or some of them."""
    if h.answers == 0 or h.answers > c.asked or h.length != 0:
        closing.fail(t, c, structs.RESET, True)
        return
    c.asked -= h.answers
    t.receives.promised -= h.answers
    if h.flags & structs.END_SEEN:
        if not c.flags & structs.ENDED:
            closing.fail(t, c, structs.RESET, True)
            return
        c.flags |= structs.END_HEARD
        t.pend(c)


def credited(t, c, h):
    """What every message of an open connection says; false, and it is broken, where that can't be."""
    if sending.heard(t, c, h.granted, h.done):
        return True
    closing.fail(t, c, structs.RESET, True)
    return False
