# cython: infer_types=True
"""A tape that keeps the calls of a stack, with their time, octets and answers, in memory that others lend it; and how a
call of a tape is made.

A record is of whole words of eight octets: its size (32 bits), kind and number of arguments and DONE (8 each); the
time; the arguments up to the last that is not 0; octets that came with the call; its answer; a sum of all before
(`check`). Size 0 comes behind the last. A record is there before its call is made, its answer and sum after it: so the
last one may lack them, and a call that ends the process is on the tape.

Addresses in the stack's memory are what they are, which a stack that has it in the same place understands; a buffer's
is 0.
"""

from libos import raw
from libos.net import octets, routes, structs, udp_user
from libos.net.tape import Tape
from libos.net.tcp import closing, user

SECOND = 10**9
ENOUGH = 1 << 20  # octets after which the state is summed up again, where that is more than there is to sum
DONE = 1 << 16  # in the word of the kind: the answer is there
LEFT = 64  # octets that records leave for the last one
NO_ROOM = 28  # ENOSPC


class Recorder(Tape):
    """Records go from `at` on, up to `end`. `going`: nothing has ended it."""

    def __init__(self, stack):
        super().__init__()
        self.stack = stack
        self.at = self.end = 0
        self.stated = self.stated_at = 0  # where and when the state was summed up
        self.going = False

    def start(self):
        """Have all calls of the stack from now on."""
        self.going = self.on = True
        self.stack.host.tape = self.stack.host.out.tape = self

    def call(self, kind, a, b, c, d, e, f):
        if self.due():
            self.note(structs.CALL_STATE, state(self.stack))
            self.stated = self.at
            self.stated_at = self.stack.host.now
        at = self.write(kind, a, b, c, d, e, f)
        self.on = False  # what it calls itself follows from it
        r = perform(self.stack, kind, a, b, c, d, e, f)
        if at:
            self.answered(at, r)
        self.on = self.going
        return r

    def write(self, kind, a, b, c, d, e, f):
        """A record without an answer: its address, 0 when there is no room any more."""
        source = 0
        n = 0
        if kind <= structs.CALL_CHANGED:
            source = b
            n = c
        if kind <= structs.CALL_UDP_RECEIVE_INTO:
            b = 0
        count = 6 if f else 5 if e else 4 if d else 3 if c else 2 if b else 1 if a else 0
        size = 32 + count * 8 + (n + 7) // 8 * 8
        if not self.room(size):
            return 0
        at = self.at
        raw.store(at + 8, self.stack.host.now)
        if count > 0:
            raw.store(at + 16, a)
        if count > 1:
            raw.store(at + 24, b)
        if count > 2:
            raw.store(at + 32, c)
        if count > 3:
            raw.store(at + 40, d)
        if count > 4:
            raw.store(at + 48, e)
        if count > 5:
            raw.store(at + 56, f)
        if n:
            raw.store(at + size - 24, 0)  # behind the last octet
            octets.copy(at + 16 + count * 8, source, n)
        raw.store32(at + 4, kind + count * 256)
        raw.fence()
        raw.store32(at, size)
        self.at = at + size
        return at

    def answered(self, at, r):
        """The newest record, which lies at `at`, has its answer."""
        raw.store(self.at - 16, r)
        raw.store(self.at - 8, check(at, self.at - at))
        raw.fence()
        raw.store32(at + 4, raw.load32(at + 4) | DONE)

    def note(self, kind, r):
        """What is no call."""
        at = self.write(kind, 0, 0, 0, 0, 0, 0)
        if at:
            self.answered(at, r)

    def due(self):
        """Whether the state is to be summed up: each second, and as often as stays cheap beside the calls."""
        fresh = self.at - self.stated
        if self.stack.host.now - self.stated_at >= SECOND and fresh * 64 > self.stack.host.pool.bumped:
            return True
        return fresh > ENOUGH and fresh > self.stack.host.pool.bumped

    def room(self, size):
        """Whether a record of this size has room; if not, the tape says so and ends."""
        while self.going and self.at + size + LEFT > self.end:
            error = self.grow()
            if error:
                self.stop(error)
        return self.going

    def grow(self):
        """For who lends the memory: `end` is further away, or the answer says why not (errno)."""
        return NO_ROOM

    def stop(self, error):
        self.on = self.going = False
        raw.store(self.at + 8, self.stack.host.now)
        raw.store32(self.at + 4, structs.CALL_FULL)
        raw.store32(self.at, 32)
        self.at += 32
        self.answered(self.at - 32, error)
        self.close()

    def close(self):
        """The tape has ended: for who lends the memory."""


def check(at, size):
    """The sum of a record, as its last word has it."""
    return octets.remainder(at + 8, size - 16) ^ (raw.load(at) | raw.bit(48))


def state(s):
    """A sum of all that a stack knows, but for the frame that came last."""
    return counters(s.host, s.tcp, s.udp, memory(s.host.pool, s.host.packet_at, s.host.fragments_at))


def memory(pool, left_out, on):
    """A sum of a stack's memory, without what is decoded of the frame that came last: it points into that."""
    h = octets.remainder(pool.base, left_out - pool.base)
    return octets.mix(h, octets.remainder(on, pool.base + pool.bumped - on), pool.used, pool.bumped)


def counters(host, t, u, h):
    h = octets.mix(h, host.drawn, host.frames_in, host.frames_out)
    h = octets.mix(h, host.refused, host.unreachable, host.ident)
    h = octets.mix(h, host.tokens, host.tokens_at, host.generation)
    h = octets.mix(h, host.neighbors_due, host.fragments_at_time, host.address_count + host.route_count)
    h = octets.mix(h, host.out.head, host.out.count, host.loop.head + host.loop.count)
    h = octets.mix(h, t.connections, t.listeners, t.bucket_count)
    h = octets.mix(h, t.segments_in, t.segments_out, t.bad_segments)
    h = octets.mix(h, t.retransmitted, t.resets_out, t.cookies_out)
    h = octets.mix(h, t.challenges, t.challenges_at, t.deadlines.count)
    h = octets.mix(h, u.received, u.sent, u.dropped)
    return h >> 1  # an answer has a sign


def dropped(out, frames):
    """The oldest frames have gone out: a sum of them."""
    h = 0
    for i in range(frames):
        h = octets.mix(h, octets.remainder(out.frame(i), out.length(i)), out.length(i), 0)
    out.drop(frames)
    return h >> 1


def perform(s, kind, a, b, c, d, e, f):
    """Make a call of a tape: its answer, 0 where it has none. `s`: the stack, told the time."""
    if kind == structs.CALL_RECEIVE:
        s.host.trust_checksums = a != 0
        s.receive(b, c, s.host.now)
    elif kind == structs.CALL_POLL:
        s.poll(s.host.now)
    elif kind == structs.CALL_DROP:
        return dropped(s.host.out, a)
    elif kind == structs.CALL_SEND:
        return user.send(s.tcp, a, b, c, d != 0)
    elif kind == structs.CALL_TAKEN:
        user.taken(s.tcp, a, b)
    elif kind == structs.CALL_NEXT_EVENT:
        return s.tcp.next_event()
    elif kind == structs.CALL_RECEIVE_INTO:
        return user.receive_into(s.tcp, a, b, c, d != 0)
    elif kind == structs.CALL_SENDABLE:
        return user.sendable(s.tcp, a)
    elif kind == structs.CALL_READY:
        return user.ready(s.tcp, a)
    elif kind == structs.CALL_STATE:
        return state(s)
    elif kind == structs.CALL_CHANGED:
        octets.move(a, b, c)
    elif kind == structs.CALL_ROUTE:
        return routes.find(s.host, a, b)
    elif kind == structs.CALL_OPEN:
        return user.open(s.tcp, a)
    elif kind == structs.CALL_BIND:
        return user.bind(s.tcp, a, b, c, d)
    elif kind == structs.CALL_LISTEN:
        return user.listen(s.tcp, a, b)
    elif kind == structs.CALL_CONNECT:
        return user.connect(s.tcp, a, b, c, d)
    elif kind == structs.CALL_ACCEPT:
        return user.accept(s.tcp, a)
    elif kind == structs.CALL_SEND_URGENT:
        return user.send_urgent(s.tcp, a, b, c)
    elif kind == structs.CALL_RECEIVE_URGENT:
        return user.receive_urgent(s.tcp, a, b, d != 0)
    elif kind == structs.CALL_IN_ONE_PIECE:
        return user.in_one_piece(s.tcp, a)
    elif kind == structs.CALL_SHUTDOWN:
        return user.shutdown(s.tcp, a, b != 0, c != 0)
    elif kind == structs.CALL_CLOSE:
        user.close(s.tcp, a)
    elif kind == structs.CALL_ABORT:
        user.abort(s.tcp, a)
    elif kind == structs.CALL_TAKE_ERROR:
        return user.take_error(s.tcp, a)
    elif kind == structs.CALL_SET_OPTION:
        return user.set_option(s.tcp, a, b, c != 0)
    elif kind == structs.CALL_RENEW:
        user.renew(s.tcp, a)
    elif kind == structs.CALL_GIVE_UP:
        closing.give_up(s.tcp)
    else:
        return perform_udp(s.udp, kind, a, b, c, d, e, f)
    return 0


def perform_udp(u, kind, a, b, c, d, e, f):
    if kind == structs.CALL_UDP_SEND:
        return udp_user.send(u, a, b, c, d, e, f)
    if kind == structs.CALL_UDP_RECEIVE_INTO:
        return udp_user.receive_into(u, a, b, c)
    if kind == structs.CALL_UDP_NEXT_EVENT:
        return u.next_event()
    if kind == structs.CALL_UDP_OPEN:
        return udp_user.open(u, a)
    if kind == structs.CALL_UDP_BIND:
        return udp_user.bind(u, a, b, c, d)
    if kind == structs.CALL_UDP_CONNECT:
        return udp_user.connect(u, a, b, c, d)
    if kind == structs.CALL_UDP_DISCONNECT:
        return udp_user.disconnect(u, a)
    if kind == structs.CALL_UDP_JOIN:
        return udp_user.join(u, a, b, c)
    if kind == structs.CALL_UDP_LEAVE:
        return udp_user.leave(u, a, b, c)
    if kind == structs.CALL_UDP_TAKE_ERROR:
        return udp_user.take_error(u, a)
    if kind == structs.CALL_UDP_POP:
        udp_user.pop(u, a)
    elif kind == structs.CALL_UDP_CLOSE:
        udp_user.close(u, a)
    return 0
