# cython: infer_types=True
"""Repair of losses: fast recovery (RFC 6582, RFC 6675) paced by proportional rate reduction (RFC 6937), and the
time-out.

OPEN --loss detected--> RECOVERY --all of that window acknowledged--> OPEN
any --time-out--> LOSS --all of that window acknowledged--> OPEN
OPEN --congestion experienced (RFC 3168)--> REDUCED --one window--> OPEN
"""

from libos.net import seq, structs
from libos.net.tcp import flight, rack
from libos.net.tcp.congestion import control


def advance(t, c, moved, dup, acked, delivered):
    """After each acknowledgment: find losses, and take the steps above."""
    if c.flags & structs.SACK:
        if delivered or c.sacked or c.recovery != structs.OPEN:
            rack.detect(t, c)
    else:
        count_duplicates(t, c, moved, dup, acked)
    if c.recovery != structs.OPEN and moved and seq.ge(c.snd_una, c.recover):
        leave(c)
    if c.lost and (c.recovery == structs.OPEN or c.recovery == structs.REDUCED):
        enter(t, c, delivered)
    elif c.recovery == structs.RECOVERY:
        proportional(c, delivered, moved)


def count_duplicates(t, c, moved, dup, acked):
    """Without SACK: three duplicates tell of a loss, and a partial acknowledgment of the next one (RFC 6582)."""
    if moved:
        if c.recovery == structs.RECOVERY and seq.lt(c.snd_una, c.recover):
            # A partial acknowledgment: the first segment that is left was lost too, section 3.2, step 3.
            steps = acked // c.mss
            c.duplicates = 0 if seq.number(c.duplicates) < steps else c.duplicates - seq.low32(steps)
            if c.sent_count and not flight.at(c, 0).marks & structs.AGAIN:
                flight.lose(c, flight.at(c, 0))
        else:
            c.duplicates = 0
        return
    if not dup:
        return
    c.duplicates += 1
    # Not again for the window that was repaired a moment ago: section 3.2, step 1.
    if c.duplicates == 3 and c.recovery == structs.OPEN and seq.ge(c.snd_una, c.recover):
        flight.lose(c, flight.at(c, 0))


def enter(t, c, delivered):
    """Fast recovery begins: RFC 6675, section 5, step 4; RFC 6937, section 3."""
    waiting = flight.waiting(c)
    if c.recovery == structs.OPEN:
        c.ssthresh = control.lost(c, t.host.now)
    c.recovery = structs.RECOVERY
    c.recover = c.snd_nxt
    c.prr_flight = c.flight + waiting
    c.prr_delivered = c.prr_out = 0
    c.flags |= structs.CWR_DUE
    c.flags &= ~structs.PROBED
    # what waits was let go by deliveries, this one's among them
    proportional(c, delivered if delivered > waiting else waiting, True)


def leave(c):
    """All that was out when the loss was found has arrived."""
    if c.recovery == structs.RECOVERY:
        c.cwnd = c.ssthresh if c.ssthresh > 2 * c.mss else 2 * c.mss
    if c.recovery != structs.REDUCED:
        rack.repaired(c)
    c.recovery = structs.OPEN
    c.duplicates = 0


def proportional(c, delivered, moved):
    """How much may be sent for what was delivered: RFC 6937, section 3.1, bounded by slow start (SSRB)."""
    c.prr_delivered += delivered
    pipe = flight.pipe(c)
    if pipe > c.ssthresh:
        count = (c.prr_delivered * c.ssthresh + c.prr_flight - 1) // (c.prr_flight + 1) - c.prr_out
    else:
        limit = c.prr_delivered - c.prr_out
        if limit < delivered:
            limit = delivered
        if moved:
            limit += c.mss
        count = c.ssthresh - pipe if c.ssthresh - pipe < limit else limit
    # the first retransmission goes out whatever the count
    if c.prr_out == 0 and count < c.mss:
        count = seq.number(c.mss)
    c.cwnd = pipe + (count if count > 0 else 0)
    if c.cwnd < c.mss:
        c.cwnd = seq.number(c.mss)


def timed_out(t, c):
    """The retransmission time-out: begin again with one segment (RFC 5681, section 3.1; RFC 6675, section 5.1)."""
    # A second time-out of the same data says nothing new about the network: RFC 5681, section 3.1, equation 4.
    if c.recovery != structs.LOSS:
        c.ssthresh = control.lost(c, t.host.now)
    c.recovery = structs.LOSS
    c.recover = c.snd_nxt
    c.duplicates = 0
    c.reorder_at = 0
    c.flags |= structs.CWR_DUE
    c.flags &= ~structs.PROBED
    flight.lose_all(c)
    c.cwnd = seq.number(c.mss)


def marked(t, c):
    """The peer has seen congestion: as for a loss, once a window (RFC 3168, section 6.1.2)."""
    if c.recovery != structs.OPEN:
        return
    c.ssthresh = control.lost(c, t.host.now)
    c.cwnd = c.ssthresh
    c.recovery = structs.REDUCED
    c.recover = c.snd_nxt
    c.flags |= structs.CWR_DUE


def probe_answered(t, c, p):
    """A tail loss probe was acknowledged: RFC 8985, section 7.4.2."""
    c.flags ^= structs.PROBED
    # It was a segment sent again, and nobody says that it came twice: the first one was lost.
    if (
        c.flags & structs.PROBED_AGAIN
        and not (p.sacks and seq.le(p.sack_right[0], p.ack))
        and c.recovery == structs.OPEN
    ):
        c.ssthresh = control.lost(c, t.host.now)
        c.cwnd = c.ssthresh
        c.flags |= structs.CWR_DUE
