# cython: infer_types=True
"""The beginning of a connection: three-way handshake, from both sides at once too (RFC 9293, section 3.5)."""

from libos.net import linked, output, seq, structs
from libos.net.tcp import agreement, closing, cookies, flight, receiver, rto, scoreboard, sender, timing
from libos.net.tcp.congestion import control


def initial_sequence(t, c):
    """The initial sequence number (RFC 6528): a clock of 4 microseconds and a secret function of the two sockets."""
    return seq.add(t.secret(c, 1), t.host.now // 4000)


def start(t, c):
    """Sequence numbers and buffers of a connection whose two sockets are known."""
    c.iss = initial_sequence(t, c)
    timing.begin(t, c)
    c.snd_una = c.snd_nxt = c.snd_up = c.fack = c.recover = c.small_end = c.rack_round = c.iss
    c.tx_seq = seq.add(c.iss, 1)
    c.peer_mss = 536 if c.family == 4 else 1220  # what is right when the peer says nothing: RFC 9293, section 3.7.1
    c.full_seen = 536  # of segments that we receive: the least that counts as full
    c.ident = seq.low32(t.host.random())
    c.progress = t.host.now
    t.enter(c)


def send_syn(t, c):
    """The first SYN or SYN,ACK: it is kept in the scoreboard as other segments are; false where there is no memory."""
    if not flight.room(t, c):
        return False
    if not sender.emit_syn(t, c) and t.host.full():
        t.pend(c)
        c.flags |= structs.ACK_NOW
    flight.append(t, c, c.iss, 1, structs.HAS_SYN)
    c.snd_nxt = seq.add(c.iss, 1)
    timing.set_retransmission(t, c, True)
    t.arm(c)
    return True


def established(t, c, p):
    """The handshake is complete."""
    c.state = structs.ESTABLISHED
    offered = c.rx_limit if c.rx_limit < 65535 else 65535
    if seq.lt(c.rcv_adv, seq.add(c.rcv_nxt, offered)):
        c.rcv_adv = seq.add(c.rcv_nxt, offered)
    output.prepare(t.host, c)
    control.start(c)
    if c.retransmissions:
        # A SYN was lost: one segment to begin with (RFC 5681, section 3.1), and a longer RTO (RFC 6298, section 5.7).
        c.cwnd = seq.number(c.mss)
        if c.srtt == 0:
            c.rto = 3 * rto.INITIAL
    c.recovery = structs.OPEN
    c.backoff = 0
    c.probes = 0
    c.soft_error = 0
    c.progress = t.host.now
    timing.keep(t, c)
    t.tell(c)


def child(t, listener, p):
    """A record for a connection that somebody begins with us, like the listener's; a null one where there is no
    memory.
    """
    c = t.facing(p)
    if not c:
        return c
    c.parent = structs.self_of(listener)
    c.options = listener.options
    c.congestion = listener.congestion
    c.tx_limit = listener.tx_limit
    c.rx_limit = listener.rx_limit
    c.user_mss = listener.user_mss
    c.keep_idle = listener.keep_idle
    c.keep_interval = listener.keep_interval
    c.keep_count = listener.keep_count
    c.user_timeout = listener.user_timeout
    c.linger = listener.linger
    c.time_to_live = listener.time_to_live
    c.traffic_class = listener.traffic_class
    c.defer = listener.defer
    start(t, c)
    t.enter_port(c)
    return c


def to_listener(t, listener, p):
    """A segment in LISTEN: RFC 9293, section 3.10.7.2."""
    # An RST is ignored, an ACK belongs to nobody, unless it brings one of our cookies back.
    if p.flags & structs.RST:
        return
    if p.flags & structs.ACK:
        if p.flags & structs.SYN or not cookies.recent(t, listener):
            closing.refuse(t, p)
        else:
            cookie_to_listener(t, listener, p)
        return
    if p.flags & structs.SYN and not p.flags & structs.FIN and not p.broadcast:
        syn_to_listener(t, listener, p)


def syn_to_listener(t, listener, p):
    """Somebody wants to connect."""
    # Who could not be accepted is not answered, and tries again: Linux, against the RST of RFC 9293's user limit.
    if listener.accepting.count > listener.backlog:
        return
    if listener.half_open >= t.half_open_limit or listener.half_open > listener.backlog:
        # The table of half-open connections is full: what we would remember goes into our sequence number (RFC 4987).
        cookies.answer(t, listener, p)
        return
    c = child(t, listener, p)
    if not c:
        return
    agreement.agree(t, c, p)
    if t.ecn and p.flags & (structs.ECE | structs.CWR) == structs.ECE | structs.CWR:
        c.flags |= structs.ECN
    c.state = structs.SYN_RECEIVED
    listener.half_open += 1
    if not send_syn(t, c):
        closing.closed(t, c, 0)


def cookie_to_listener(t, listener, p):
    """The third segment of a handshake that we know nothing of but what the cookie says: RFC 4987, section 3.6."""
    mss = cookies.check(t, p)
    if mss == 0:
        closing.refuse(t, p)
        return
    if listener.accepting.count > listener.backlog:
        return
    c = child(t, listener, p)
    if not c:
        return
    # what the SYN had said
    p.mss = mss
    p.seq = seq.add(p.seq, -1)
    cookies.options(t, c, p)
    agreement.agree(t, c, p)
    p.seq = seq.add(p.seq, 1)
    c.iss = seq.add(p.ack, -1)
    c.snd_una = c.snd_nxt = c.tx_seq = c.small_end = c.fack = c.recover = c.rack_round = p.ack
    c.state = structs.SYN_RECEIVED
    listener.half_open += 1
    c.snd_wnd = seq.shift(seq.number(p.window), c.snd_scale)
    if queue(t, c):
        established(t, c, p)
        receiver.text(t, c, p)


def queue(t, c):
    """A handshake is complete: the connection waits to be accepted; false when there is no room for it."""
    if c.parent == 0:
        return True
    listener = structs.tcb(c.parent)
    if listener.accepting.count > listener.backlog:
        return False
    listener.half_open -= 1
    linked.append(structs.accepting_of(listener), structs.waiting_of(c), structs.self_of(c))
    c.parent = 0
    t.tell(listener)
    return True


def in_syn_sent(t, c, p):
    """A segment in SYN-SENT: RFC 9293, section 3.10.7.3."""
    # First the ACK: one that is not of our SYN is answered with a reset.
    if p.flags & structs.ACK and (seq.le(p.ack, c.iss) or seq.gt(p.ack, c.snd_nxt)):
        closing.refuse(t, p)
        return
    # Second the RST: with an acceptable ACK it says that nobody listens, without it is ignored.
    if p.flags & structs.RST:
        if p.flags & structs.ACK:
            closing.closed(t, c, structs.REFUSED)
        return
    if not p.flags & structs.SYN:
        return
    # Fourth the SYN.
    asked = t.ecn == 1 and c.backoff == 0
    agreement.agree(t, c, p)
    if p.flags & structs.ACK:
        # Our SYN is acknowledged: the connection is established, and we say so.
        if asked and p.flags & (structs.ECE | structs.CWR) == structs.ECE:
            c.flags |= structs.ECN
        scoreboard.acknowledged(t, c, p.ack)
        c.snd_una = p.ack
        established(t, c, p)
        timing.set_retransmission(t, c, True)
        c.flags |= structs.ACK_NOW
        if p.payload_length or p.flags & structs.FIN:
            p.seq = seq.add(p.seq, 1)
            receiver.text(t, c, p)
        sender.transmit(t, c)
        return
    # Both sides began at once: SYN-RECEIVED, and our SYN goes out again, with an ACK (figure 8 of RFC 9293).
    c.state = structs.SYN_RECEIVED
    c.flags |= structs.ACK_NOW
    flight.lose_all(c)
    sender.transmit(t, c)
