# cython: infer_types=True
"""How connections begin: HELLO and WELCOME say where each side's mailbox is, and a REPLY that the other has heard it.

Each side names a connection by a number and a token that the other chose; nobody else knows the token. What comes
without it belongs to no connection.
"""

from libos import raw
from libos.fabric import closing, receiving, structs
from libos.net import linked


def chain(t, service):
    """Where the listeners of a service are linked."""
    return t.listening + (service & (structs.LISTENERS - 1)) * 8


def listener(t, service):
    """The record of who listens; a null one where nobody does."""
    at = raw.load(chain(t, service))
    while at:
        c = structs.connection(at)
        if c.service == service:
            return c
        at = c.user
    return structs.connection(0)


def listen(t, service, backlog):
    """Take connections for a service, a number of 32 bits: the listener's address, or what is wrong, negative."""
    if listener(t, service):
        return -structs.IN_USE
    c = t.create()
    if not c:
        return -structs.NO_MEMORY
    c.state = structs.LISTENING
    c.service = service
    c.backlog = backlog
    c.user = raw.load(chain(t, service))
    raw.store(chain(t, service), structs.self_of(c))
    return structs.self_of(c)


def unlisten(t, c):
    """Who waits to be accepted is turned away."""
    place = chain(t, c.service)
    before = structs.connection(raw.load(place))
    if structs.self_of(before) == structs.self_of(c):
        raw.store(place, c.user)
    else:
        while before.user != structs.self_of(c):
            before = structs.connection(before.user)
        before.user = c.user
    k = 0
    while k < t.connections.touched:
        d = structs.connection(t.connections.slot(k))
        if d.state > structs.LISTENING and d.listener == structs.self_of(c):
            closing.fail(t, d, structs.RESET, True)
        k += 1
    linked.remove(t.events, structs.event_of(c))
    c.state = structs.FREE
    t.connections.give(structs.self_of(c))


def accept(t, at):
    """Address of the connection that has waited for longest, 0 where none does."""
    found = linked.take(structs.accepting_of(structs.connection(at)))
    if found:
        structs.connection(found).listener = 0
    return found


def prepared(t, number):
    """A connection with that peer, whose mailbox it may see; a null one where there is no room."""
    c = t.create()
    if not c:
        return c
    c.window = t.fabric.expose(t.region, c.mailbox, structs.REPORT, structs.MAY_READ | structs.MAY_WRITE, number)
    if c.window < 0:
        t.connections.give(structs.self_of(c))
        return structs.connection(0)
    t.hold(c, number)
    c.quota = structs.FIRST_QUOTA if structs.FIRST_QUOTA < t.window else t.window
    c.deadline = t.now + t.patience
    linked.append(t.opening, structs.opening_of(c), structs.self_of(c))
    return c


def connect(t, address, length, service):
    """Open a connection to a service of the endpoint with that address: its record's address, or what is wrong,
    negative. How that ends is seen in its state.
    """
    number = t.fabric.peer(address, length)
    if number < 0 or number >= t.fabric.peers:
        return -structs.INVALID
    c = prepared(t, number)
    if not c:
        t.unheld(number)
        return -structs.NO_MEMORY
    c.state = structs.CALLING
    c.service = service
    closing.call(t, c)
    return structs.self_of(c)


def greet(t, c):
    """Send HELLO or WELCOME: a question, with the first credits."""
    if not t.receives.may_ask(1):
        return structs.SHORT
    if c.given == 0:
        c.given = t.receives.promise(receiving.fair(t, c), 1)
        if c.given == 0:
            return structs.SHORT
    at = t.outgoing()
    if at == 0:
        return structs.STUCK
    i = structs.item(at)
    g = structs.greeting(i.buffer + structs.HEADER)
    g.token = c.token
    g.mailbox = t.fabric.base(c.window)
    g.key = t.fabric.key(c.window)
    g.largest = t.largest
    g.number = c.number
    g.service = c.service
    g.buffer = t.eager
    g.address_length = 0
    kind = structs.WELCOME
    if c.state == structs.CALLING:
        kind = structs.HELLO
        g.address_length = t.address_length
        raw.copy(i.buffer + structs.HEADER + structs.GREETING, t.address, t.address_length)
    if not t.launch(c, i, kind, 0, 0, structs.GREETING + g.address_length):
        return structs.STUCK
    c.asked += 1
    t.receives.promised += 1
    c.flags &= ~structs.HELLO_DUE
    if c.state == structs.GREETING_BACK:
        c.state = structs.GREETED
    return structs.DONE


def meet(c, h, g):
    """Keep what a greeting says; false where it can't be."""
    if g.buffer < 1 or g.buffer > structs.AHEAD or h.granted < 1 or h.granted > structs.AHEAD or h.done:
        return False
    c.their_number = g.number
    c.their_token = g.token
    c.their_mailbox = g.mailbox
    c.their_key = g.key
    c.their_buffer = g.buffer
    c.their_largest = g.largest if g.largest < structs.UNIT else structs.UNIT
    c.granted = h.granted
    c.flags |= structs.KNOWN
    return True


def hello(t, at, h, source):
    """Somebody wants a connection; the greeting is at `at`."""
    g = structs.greeting(at)
    if h.length < structs.GREETING or g.address_length > structs.ADDRESS:
        t.strays += 1
        return
    if h.length != structs.GREETING + g.address_length or g.address_length == 0:
        t.strays += 1
        return
    number = t.fabric.peer(at + structs.GREETING, g.address_length)
    if number < 0 or number >= t.fabric.peers:
        t.strays += 1
        return
    if source != structs.NOBODY and source != number:
        t.strays += 1
        t.unheld(number)
        return
    w = listener(t, g.service)
    if not w or w.accepting.count + w.half_open >= w.backlog:
        refuse(t, number, g)
        return
    c = prepared(t, number)
    if not c:
        refuse(t, number, g)
        return
    c.state = structs.GREETING_BACK
    c.service = g.service
    if not meet(c, h, g):
        c.state = structs.GREETED
        c.flags |= structs.ORPHAN
        closing.fail(t, c, structs.RESET, False)
        return
    w.half_open += 1
    c.listener = structs.self_of(w)
    t.pend(c)


def refuse(t, number, g):
    """No. If that can't be said now, the peer's patience ends some time."""
    t.refused += 1
    at = t.outgoing()
    if at == 0:
        t.unheld(number)
        return
    i = structs.item(at)
    h = structs.header(i.buffer)
    h.mark = structs.MARK
    h.kind = structs.REFUSED
    h.flags = h.answers = h.length = h.granted = h.done = 0
    h.connection = g.number
    h.token = g.token
    p = structs.piece(t.pieces)
    p.address = i.buffer
    p.length = structs.HEADER
    p.region = t.region
    i.peer = number
    if not t.fabric.send(number, t.pieces, 1, at):
        t.sent_away(i)
        t.unheld(number)


def welcome(t, c, at, h):
    """We are welcome."""
    c.asked -= 1
    t.receives.promised -= 1
    if h.length != structs.GREETING or not meet(c, h, structs.greeting(at)):
        closing.fail(t, c, structs.RESET, False)
        return
    opened(t, c)
    c.owed += 1
    t.tell(c)
    t.pend(c)


def opened(t, c):
    closing.leave_opening(t, c)
    c.state = structs.OPEN
    if c.listener:
        w = structs.connection(c.listener)
        linked.append(structs.accepting_of(w), structs.opening_of(c), structs.self_of(c))
        t.tell(w)
