# cython: infer_types=True
"""SEGMENT ARRIVES: RFC 9293, section 3.10.7, in its order. First what nearly all segments are (`predicted`)."""

from libos.net import seq, structs
from libos.net.tcp import acking, closing, flight, opening, receiver, sender, timing, window

PAWS_LIFE = 24 * 86400 * 10**9  # a timestamp of a connection that was idle so long says nothing (RFC 7323, section 5.5)


def segment(t, p):
    """A segment whose header and sum are right, in `p`."""
    t.segments_in += 1
    found = t.find(p.target_high, p.target_low, p.target_port, p.source_high, p.source_low, p.source_port)
    if found:
        c = structs.tcb(found)
        if c.state == structs.ESTABLISHED and predicted(t, c, p):
            return
        if c.state == structs.SYN_SENT:
            opening.in_syn_sent(t, c, p)
        elif c.state == structs.TIME_WAIT:
            in_time_wait(t, c, p)
        else:
            synchronised(t, c, p)
        return
    found = t.listener(p)
    if found:
        opening.to_listener(t, structs.tcb(found), p)
    else:
        closing.refuse(t, p)


def predicted(t, c, p):
    """The next octets in order, or an acknowledgment of some of ours, with nothing special: true when that was all.

    What decides is checked as in `synchronised`; only what can't matter here is left out (Van Jacobson's header
    prediction).
    """
    if (
        p.flags & ~structs.PSH != structs.ACK
        or p.seq != c.rcv_nxt
        or c.hole_count
        or p.sacks
        or seq.lt(p.ack, c.snd_una)
        or seq.gt(p.ack, c.snd_nxt)
        or c.recovery != structs.OPEN
        or c.flags & (structs.FIN_AHEAD | structs.URGENT_IN | structs.ECN)
        or p.payload_length > window.current(c)
    ):
        return False
    if c.flags & structs.TIMESTAMPS:
        if not p.has_timestamp or seq.lt(p.ts_value, c.ts_recent):
            return False
        take_timestamp(t, c, p)
    if p.ack != c.snd_una or p.payload_length == 0 or flight.unsent(c) > 0:
        acking.acknowledgment(t, c, p)
    else:
        window.update(t, c, p.seq, p.ack, seq.shift(seq.number(p.window), c.snd_scale))
    if p.payload_length:
        receiver.in_order(t, c, p.payload, p.payload_length)
        if c.flags & structs.ACK_NOW:
            t.pend(c)
    if c.keep_at:
        timing.keep(t, c)
    t.arm(c)
    return True


def acceptable(c, p):
    """First, the sequence number: whether some of the segment lies in the window (table 6 of RFC 9293)."""
    length = p.payload_length
    if p.flags & structs.SYN:
        length += 1
    if p.flags & structs.FIN:
        length += 1
    wide = window.current(c)
    if length == 0:
        if wide == 0:
            return p.seq == c.rcv_nxt
        return seq.ge(p.seq, c.rcv_nxt) and seq.lt(p.seq, seq.add(c.rcv_nxt, wide))
    end = seq.add(p.seq, length - 1)
    if wide == 0:
        # A shut window still takes what is in order of control (section 3.10.7.4, MUST-66): its text is cut off.
        return p.seq == c.rcv_nxt
    return seq.gt(seq.add(c.rcv_nxt, wide), p.seq) and seq.ge(end, c.rcv_nxt)


def too_old(t, c, p):
    """PAWS: a timestamp from before what was seen, of a peer that was not silent for weeks (RFC 7323, section
    5.3, R1).
    """
    return (
        c.flags & structs.TIMESTAMPS
        and p.has_timestamp
        and not p.flags & structs.RST
        and seq.lt(p.ts_value, c.ts_recent)
        and t.host.now - c.ts_recent_at < PAWS_LIFE
    )


def take_timestamp(t, c, p):
    """Remember the timestamp of a segment that spans what was acknowledged last (RFC 7323, section 4.3)."""
    if (
        c.flags & structs.TIMESTAMPS
        and p.has_timestamp
        and seq.ge(p.ts_value, c.ts_recent)
        and seq.le(p.seq, c.last_ack)
    ):
        c.ts_recent = p.ts_value
        c.ts_recent_at = t.host.now


def unacceptable(t, c, p):
    """A segment outside the window, or too old: an acknowledgment says where we are, unless it is a reset."""
    if p.flags & structs.RST:
        return
    if p.payload_length and seq.lt(p.seq, c.rcv_nxt):
        # It was there before: a retransmission whose acknowledgment was lost. It is said which (RFC 2883).
        receiver.duplicate(c, p.seq, seq.add(p.seq, p.payload_length))
        sender.acknowledge(t, c)
    elif t.challenged(c, p):
        sender.acknowledge(t, c)
    t.arm(c)


def reset_arrived(t, c, p):
    """Second, the RST: only one that is exactly in order ends the connection (RFC 5961, section 3.2)."""
    if p.seq != c.rcv_nxt:
        if t.challenged(c, p):
            sender.acknowledge(t, c)
        return
    error = structs.RESET
    if c.state == structs.SYN_RECEIVED and c.flags & structs.ACTIVE:
        error = structs.REFUSED
    elif c.state == structs.CLOSE_WAIT:
        error = structs.BROKEN_PIPE  # all was read, and who writes hears of it: as on Linux
    elif c.state == structs.CLOSING or c.state == structs.LAST_ACK:
        error = 0
    closing.closed(t, c, error)


def handshake_ends(t, c, p):
    """SYN-RECEIVED and an acknowledgment of our SYN: ESTABLISHED (section 3.10.7.4, fifth). False when it stays."""
    if seq.le(p.ack, c.snd_una) or seq.gt(p.ack, c.snd_nxt):
        # Of something else: a reset, and the connection stays half open.
        closing.refuse(t, p)
        return False
    if c.parent and c.defer and p.payload_length == 0 and not p.flags & structs.FIN and c.backoff < c.defer:
        # The listener wants to be woken with data only (tcp(7), TCP_DEFER_ACCEPT): the bare ACK is forgotten.
        return False
    if not opening.queue(t, c):
        # No room among those who wait to be accepted: the ACK is forgotten, our SYN,ACK goes out again later.
        return False
    c.snd_wnd = c.max_window = seq.shift(seq.number(p.window), c.snd_scale)
    c.snd_wl1 = p.seq
    c.snd_wl2 = p.ack
    opening.established(t, c, p)
    if c.flags & structs.FIN_QUEUED:
        c.state = structs.FIN_WAIT_1
    return True


def synchronised(t, c, p):
    """All states from SYN-RECEIVED on but TIME-WAIT."""
    if too_old(t, c, p) or not acceptable(c, p):
        # Both have begun at once: the peer's SYN,ACK repeats its SYN, and acknowledges ours (figure 8 of RFC 9293).
        if c.state == structs.SYN_RECEIVED and p.flags & structs.SYN and p.seq == c.irs:
            if p.flags & structs.ACK and c.flags & structs.ACTIVE:
                if handshake_ends(t, c, p):
                    acking.acknowledgment(t, c, p)
                    sender.acknowledge(t, c)
                    t.arm(c)
            else:
                # A retransmitted SYN: our SYN,ACK was lost, and is sent again.
                flight.lose_all(c)
                sender.transmit(t, c)
            return
        unacceptable(t, c, p)
        return
    if p.flags & structs.RST:
        reset_arrived(t, c, p)
        return
    # Fourth, the SYN: in the window it is answered by a challenge (RFC 5961, section 4.2).
    if p.flags & structs.SYN:
        if t.challenged(c, p):
            sender.acknowledge(t, c)
        return
    # Fifth, the ACK: without one the segment is dropped.
    if not p.flags & structs.ACK:
        return
    if c.state == structs.SYN_RECEIVED and not handshake_ends(t, c, p):
        return
    take_timestamp(t, c, p)
    if c.flags & structs.ECN:
        # Marked by the network: said with each ACK until the sender says that it has reduced (RFC 3168, section 6.1.3).
        if p.flags & structs.CWR:
            c.flags &= ~structs.ECE_DUE
        if p.ecn == 3:
            c.flags |= structs.ECE_DUE | structs.ACK_NOW
    if not acking.acknowledgment(t, c, p):
        return
    timing.keep(t, c)
    if closing.fin_is_acknowledged(c) and c.state != structs.FIN_WAIT_2:
        last = c.state == structs.LAST_ACK
        closing.fin_acknowledged(t, c)
        if last:
            return
    if c.flags & structs.ORPHAN and seq.gt(seq.add(p.seq, p.payload_length), c.rcv_nxt) and p.payload_length:
        # Data for a user that has gone: the peer must hear that it is lost (RFC 1122, section 4.2.2.13).
        closing.abort(t, c)
        return
    receiver.text(t, c, p)
    t.arm(c)


def in_time_wait(t, c, p):
    """TIME-WAIT: the last ACK again when the FIN comes again; a new SYN may begin anew (RFC 9293, section 3.10.7.4; RFC
    6191).
    """
    if p.flags & structs.RST:
        # A reset does not shorten the wait: RFC 1337.
        return
    if p.flags & structs.SYN and not p.flags & structs.ACK:
        found = t.listener(p)
        newer = seq.gt(p.seq, c.rcv_nxt)
        if c.flags & structs.TIMESTAMPS and p.has_timestamp:
            newer = seq.gt(p.ts_value, c.ts_recent) or (p.ts_value == c.ts_recent and newer)
        if found and newer:
            closing.closed(t, c, 0)
            opening.to_listener(t, structs.tcb(found), p)
            return
    if p.payload_length or p.flags & (structs.SYN | structs.FIN) or not acceptable(c, p):
        if t.challenged(c, p):
            sender.acknowledge(t, c)
        if p.flags & structs.FIN:
            c.end_at = t.host.now + closing.TIME_WAIT_LIFE
            t.arm(c)
