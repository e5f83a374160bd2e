# cython: infer_types=True
"""The end of a connection: FIN, TIME-WAIT, reset (RFC 9293, sections 3.6 and 3.5.2)."""

from libos.net import linked, output, seq, structs
from libos.net.tcp import engine, flight, sender
from libos.net.wire import tcp_header

# Two MSL are four minutes in RFC 9293, section 3.4.2; a minute is what Linux waits, in TIME-WAIT and, for a peer whose
# FIN does not come to a closed socket, in FIN-WAIT-2.
TIME_WAIT_LIFE = FIN_WAIT_LIFE = 60 * 10**9


def refuse(t, p):
    """Answer a segment that belongs to nobody with a reset: RFC 9293, section 3.10.7.1."""
    if p.flags & structs.RST or p.broadcast:
        return
    c = t.facing(p)
    if not c:
        return
    # With an ACK to say where, it takes its sequence number from there; else it acknowledges all of the segment.
    if p.flags & structs.ACK:
        send_reset(t, c, p.ack, 0, structs.RST)
    else:
        length = p.payload_length + (1 if p.flags & structs.SYN else 0) + (1 if p.flags & structs.FIN else 0)
        send_reset(t, c, 0, seq.add(p.seq, length), structs.RST | structs.ACK)
    t.destroy(c)


def reset(t, c):
    """Tell the peer that the connection is no more."""
    send_reset(t, c, c.snd_nxt, c.rcv_nxt, structs.RST | structs.ACK)


def send_reset(t, c, start, ack, flags):
    at = output.begin(t.host, c)
    if at:
        tcp_header.write(at, c.local_port, c.remote_port, start, ack, flags, 0, 0, 20)
        output.end(t.host, c, at, 20, 0)
        t.resets_out += 1


def time_wait(t, c):
    """Both FINs are acknowledged: stay, to answer the last one again (RFC 9293, section 3.6, case 1)."""
    c.state = structs.TIME_WAIT
    if c.rx.used == 0:
        engine.buffers_back(t, c)
    c.retransmit_at = c.ack_at = c.cork_at = c.keep_at = c.reorder_at = c.trim_at = 0
    c.end_at = t.host.now + TIME_WAIT_LIFE
    # So many are too many: the oldest goes (Linux, tcp_max_tw_buckets).
    if structs.queue(t.time_waits).count >= t.time_wait_limit:
        closed(t, structs.tcb(linked.first(t.time_waits)), 0)
    linked.append(t.time_waits, structs.waiting_of(c), structs.self_of(c))
    t.tell(c)
    t.arm(c)


def closed(t, c, error):
    """The connection is over. The record goes once its user has let go of it."""
    half_open = c.state == structs.SYN_RECEIVED and c.parent != 0
    if half_open:
        structs.tcb(c.parent).half_open -= 1
    if c.state == structs.LISTEN:
        t.leave_listeners(c)
    elif c.state == structs.TIME_WAIT:
        linked.remove(t.time_waits, structs.waiting_of(c))
    c.state = structs.CLOSED
    t.leave(c)
    t.leave_port(c)
    c.retransmit_at = c.ack_at = c.cork_at = c.keep_at = c.reorder_at = c.end_at = 0
    if error:
        c.error = error
    if c.flags & structs.ORPHAN or half_open:
        t.destroy(c)
        return
    engine.sending_back(t, c)
    t.tell(c)
    t.arm(c)


def fin_received(t, c):
    """The peer's FIN is in order: RFC 9293, section 3.10.7.4, eighth."""
    c.rcv_nxt = seq.add(c.rcv_nxt, 1)
    c.hole_count = 0  # what a strange peer has sent from behind its end
    c.flags |= structs.FIN_RECEIVED | structs.ACK_NOW
    if c.state == structs.ESTABLISHED or c.state == structs.SYN_RECEIVED:
        c.state = structs.CLOSE_WAIT
    elif c.state == structs.FIN_WAIT_1:
        # Ours was not acknowledged (else the ACK in this segment had led to FIN-WAIT-2): both close at once.
        c.state = structs.CLOSING
    elif c.state == structs.FIN_WAIT_2:
        time_wait(t, c)
    t.tell(c)


def fin_is_acknowledged(c):
    """Whether our FIN was sent and has arrived."""
    return c.flags & structs.FIN_QUEUED and c.sent_count == 0 and flight.unsent(c) < 0


def fin_acknowledged(t, c):
    """Our FIN has arrived: RFC 9293, section 3.10.7.4, fifth."""
    if c.state == structs.FIN_WAIT_1:
        c.state = structs.FIN_WAIT_2
        if c.flags & structs.ORPHAN:
            # Nobody is there who could read: not for ever (tcp_fin_timeout of Linux).
            c.end_at = t.host.now + FIN_WAIT_LIFE
        t.tell(c)
    elif c.state == structs.CLOSING:
        time_wait(t, c)
    elif c.state == structs.LAST_ACK:
        closed(t, c, 0)


def shut(t, c):
    """The user sends no more: RFC 9293, section 3.10.4. The FIN follows what is in the buffer."""
    if c.flags & structs.FIN_QUEUED:
        return
    if c.state == structs.ESTABLISHED or c.state == structs.SYN_RECEIVED:
        c.flags |= structs.FIN_QUEUED
        if c.state == structs.ESTABLISHED:
            c.state = structs.FIN_WAIT_1
    elif c.state == structs.CLOSE_WAIT:
        c.flags |= structs.FIN_QUEUED
        c.state = structs.LAST_ACK
    else:
        return
    c.options &= ~structs.CORK
    sender.transmit(t, c)


def abort(t, c):
    """End a connection with a reset: RFC 9293, section 3.10.5. The record is gone where its user is."""
    if c.state >= structs.SYN_RECEIVED and c.state != structs.TIME_WAIT:
        reset(t, c)
    closed(t, c, 0)


def drop_children(t, c):
    """A listener closes: whoever was not accepted is reset."""
    while c.accepting.count:
        d = structs.tcb(linked.take(structs.accepting_of(c)))
        d.flags |= structs.ORPHAN
        d.parent = 0
        abort(t, d)
    i = t.deadlines.count
    # those half open all have a timer
    while i > 0 and c.half_open:
        d = structs.tcb(t.deadlines.entry(i))
        i -= 1
        if d.parent == structs.self_of(c) and d.state == structs.SYN_RECEIVED:
            abort(t, d)
            i = t.deadlines.count


def close(t, c):
    """The user lets go of the record: RFC 9293, section 3.10.4, and what RFC 2525, section 2.17 adds."""
    c.flags |= structs.ORPHAN
    linked.remove(t.events, structs.event_of(c))
    if c.state == structs.LISTEN:
        drop_children(t, c)
        closed(t, c, 0)
        return
    if c.state == structs.CLOSED or c.state == structs.SYN_SENT:
        closed(t, c, 0)
        return
    # Unread data or a linger of no time: the peer must not think that all was taken.
    lingers = c.options & structs.LINGER and c.linger == 0
    if lingers or (c.rx.used and c.state != structs.TIME_WAIT):
        abort(t, c)
        return
    c.flags |= structs.NO_MORE_READS
    if c.state == structs.FIN_WAIT_2:
        c.end_at = t.host.now + FIN_WAIT_LIFE
    c.keep_at = 0
    shut(t, c)
    t.arm(c)


def unanswered(t):
    """Whether any connection has sent what its peer has not acknowledged."""
    i = t.deadlines.count
    while i > 0:
        c = structs.tcb(t.deadlines.entry(i))
        if c.sent_count or c.tx.used:
            return True
        i -= 1
    return False


def give_up(t):
    """Reset every connection whose peer has not acknowledged all that was sent."""
    if t.host.tape.on:
        t.host.tape.call(structs.CALL_GIVE_UP, 0, 0, 0, 0, 0, 0)
        return
    i = t.deadlines.count
    while i > 0:
        c = structs.tcb(t.deadlines.entry(i))
        if c.state >= structs.ESTABLISHED and (c.sent_count or c.tx.used):
            abort(t, c)
        i = i - 1 if i <= t.deadlines.count else t.deadlines.count
