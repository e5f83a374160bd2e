# cython: infer_types=True
"""What an acknowledgment tells: what has arrived, the peer's window, and what may be sent now."""

from libos.net import ring, seq, structs
from libos.net.tcp import flight, rack, recovery, scoreboard, sender, timing, window
from libos.net.tcp.congestion import control


def acknowledgment(t, c, p):
    """The ACK field of a segment in a synchronised state; false when the segment is to be dropped."""
    ack = p.ack
    # An ACK too old or of what was never sent is answered and dropped: RFC 5961, section 5.2.
    if seq.gt(ack, c.snd_nxt) or seq.lt(ack, seq.add(c.snd_una, -c.max_window - 1)):
        if t.challenged(c, p):
            sender.acknowledge(t, c)
        return False
    if seq.lt(ack, c.snd_una):
        return True
    before = flight.pipe(c) + flight.waiting(c)
    moved = ack != c.snd_una
    acked = seq.diff(ack, c.snd_una)
    delivered = 0
    # A duplicate as RFC 5681, section 2 says: nothing new, no data, the same window, something outstanding.
    dup = (
        not moved
        and p.payload_length == 0
        and c.sent_count > 0
        and not p.flags & (structs.SYN | structs.FIN)
        and seq.shift(seq.number(p.window), c.snd_scale) == c.snd_wnd
    )
    if moved:
        delivered = scoreboard.acknowledged(t, c, ack)
        c.snd_una = ack
        free_acked(t, c, ack)
        c.progress = t.host.now
        c.backoff = 0
        c.probes = 0
        c.soft_error = 0
        if c.flags & structs.URGENT_OUT and seq.le(c.snd_up, ack):
            c.flags ^= structs.URGENT_OUT
    if p.sacks and c.flags & structs.SACK:
        delivered += blocks(t, c, p)
    window.update(t, c, p.seq, ack, seq.shift(seq.number(p.window), c.snd_scale))
    if c.flags & structs.ECN and p.flags & structs.ECE:
        recovery.marked(t, c)
    open = c.recovery != structs.RECOVERY
    recovery.advance(t, c, moved, dup, acked, delivered)
    # The window grows only when it was in use (RFC 7661 has why) and nothing is being repaired.
    if moved and open and c.recovery != structs.RECOVERY and before * 2 >= c.cwnd:
        if c.cwnd < c.ssthresh or before + 3 * c.mss >= c.cwnd:
            control.acked(c, acked, t.host.now)
    if moved:
        if c.flags & structs.PROBED and seq.ge(ack, c.probe_end):
            recovery.probe_answered(t, c, p)
        timing.set_retransmission(t, c, True)
    elif c.timer_kind == structs.TIMER_PERSIST and c.snd_wnd > 0:
        c.retransmit_at = 0
        c.backoff = 0
        c.probes = 0
        c.timer_kind = structs.TIMER_RTO
    elif c.timer_kind == structs.TIMER_PERSIST:
        # The peer lives, its window is shut: asked again for ever (RFC 1122, section 4.2.2.17).
        c.probes = 0
    if flight.unsent(c) >= 0 or c.lost:
        t.pend(c)
    return True


def free_acked(t, c, ack):
    """Octets of the buffer that have arrived make room for the user."""
    n = seq.gap(ack, c.tx_seq)
    if n > c.tx.used:
        n = c.tx.used
    if n <= 0:
        return
    ring.drop(structs.tx_of(c), n)
    c.tx_seq = seq.add(c.tx_seq, n)
    if c.tx.used == 0 and c.tx.size > 4096:
        c.trim_at = t.host.now + seq.milliseconds(1000)
    room_made(t, c)


def room_made(t, c):
    """Whoever waits to write hears of it when a third of the buffer is free, as on Linux."""
    if c.flags & structs.FULL and c.tx.used * 3 <= c.tx_limit * 2:
        c.flags ^= structs.FULL
        t.tell(c)


def blocks(t, c, p):
    """The SACK blocks of a segment: octets newly known to have arrived (RFC 2018, section 5)."""
    delivered = 0
    for i in range(p.sacks):
        left = p.sack_left[i]
        right = p.sack_right[i]
        # A first block that is acknowledged already, or lies in the second, is a duplicate's (RFC 2883, section 4).
        if i == 0 and (
            seq.le(right, c.snd_una)
            or (p.sacks > 1 and seq.ge(left, p.sack_left[1]) and seq.le(right, p.sack_right[1]))
        ):
            rack.duplicated(c)
            continue
        # What was never sent, or is malformed, is ignored.
        if seq.le(right, left) or seq.gt(right, c.snd_nxt) or seq.le(right, c.snd_una):
            continue
        delivered += scoreboard.selected(t, c, left, right)
    return delivered
