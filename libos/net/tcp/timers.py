# cython: infer_types=True
"""Timers of connections that are due, and what is waiting to be sent."""

from libos.net import linked, ring, seq, structs
from libos.net.tcp import closing, flight, rack, recovery, rto, sender, timing

SYN_TRIES, SYN_ACK_TRIES, TRIES, ORPHAN_TRIES = 6, 5, 15, 8  # as Linux; RFC 9293, section 3.8.3 asks for 100 s at least


def poll(t):
    """Do what is due at the host's time."""
    at = t.deadlines.first()
    while at:
        c = structs.tcb(at)
        if c.heap_deadline > t.host.now:
            break
        t.deadlines.drop(c)
        if c.deadline == 0:
            pass
        elif c.deadline > t.host.now:
            # it has moved on since
            t.deadlines.arm(c, c.deadline)
        elif due(t, c):
            t.arm(c)
        at = t.deadlines.first()


def flush(t):
    """Send what is waiting, as long as the outbox has room."""
    left = structs.queue(t.pending).count  # who waits again meanwhile waits for the next time
    while left and not t.host.full():
        sender.transmit(t, structs.tcb(linked.take(t.pending)))
        left -= 1


def due(t, c):
    """The timers of one connection; false when its record is gone."""
    now = t.host.now
    if c.end_at and c.end_at <= now:
        # TIME-WAIT or an orphan's FIN-WAIT-2 is over: RFC 9293, section 3.10.8.
        closing.closed(t, c, 0)
        return False
    if c.ack_at and c.ack_at <= now:
        c.ack_at = 0
        sender.acknowledge(t, c)
    if c.reorder_at and c.reorder_at <= now:
        # What the reordering window waited for has not come: RFC 8985, section 6.3.
        rack.detect(t, c)
        if c.lost and c.recovery == structs.OPEN:
            recovery.enter(t, c, 0)
        sender.transmit(t, c)
    if c.cork_at and c.cork_at <= now:
        sender.transmit(t, c)
        c.cork_at = 0
    if c.trim_at and c.trim_at <= now:
        trim(t, c)
    if c.retransmit_at and c.retransmit_at <= now and not retransmission(t, c):
        return False
    if c.keep_at and c.keep_at <= now and not keep_alive(t, c):
        return False
    return True


def trim(t, c):
    """Large buffers that have stayed empty go back."""
    c.trim_at = 0
    if c.rx.used == 0 and c.hole_count == 0:
        ring.release(t.host, structs.rx_of(c))
    if c.tx.used == 0:
        ring.release(t.host, structs.tx_of(c))
    if c.sent_count == 0 and c.sent_size > 16:
        t.host.pool.give(c.sent_at, c.sent_size * structs.sent_size())
        c.sent_at = 0
        c.sent_size = c.sent_head = 0


def retransmission(t, c):
    """The retransmission timer, in one of its three meanings; false when the record is gone."""
    c.retransmit_at = 0
    if c.timer_kind == structs.TIMER_PROBE:
        tail_probe(t, c)
        return True
    if give_up(t, c):
        error = c.soft_error if c.soft_error else structs.TIMED_OUT
        if c.state >= structs.ESTABLISHED and c.flags & structs.ORPHAN:
            closing.reset(t, c)
        closing.closed(t, c, error)
        return False
    if c.timer_kind == structs.TIMER_PERSIST:
        persist(t, c)
        return True
    c.backoff += 1
    if c.state >= structs.ESTABLISHED:
        recovery.timed_out(t, c)
        sender.transmit(t, c)
    else:
        # A SYN: no congestion window yet.
        flight.lose_all(c)
        sender.retransmit(t, c, 0)
    if c.backoff == 3:
        # Perhaps the way or the neighbor is no more the one we know: RFC 1122, section 4.2.3.5, threshold R1.
        c.generation = 0
    timing.set_retransmission(t, c, True)
    return True


def give_up(t, c):
    """Whether it has been tried often enough: threshold R2 (RFC 9293, section 3.8.3), or the user's time-out (RFC
    5482).
    """
    if c.user_timeout and c.state >= structs.ESTABLISHED:
        return t.host.now - c.progress >= seq.milliseconds(c.user_timeout)
    tries = c.probes if c.timer_kind == structs.TIMER_PERSIST else c.backoff
    if c.state == structs.SYN_SENT:
        return tries >= SYN_TRIES
    if c.state == structs.SYN_RECEIVED:
        return tries >= SYN_ACK_TRIES
    return tries >= (ORPHAN_TRIES if c.flags & structs.ORPHAN else TRIES)


def tail_probe(t, c):
    """A tail loss probe: a new segment if there may be one, else the last one again (RFC 8985, section 7.3)."""
    before = c.snd_nxt
    c.flags |= structs.PROBED
    c.flags &= ~structs.PROBED_AGAIN
    n = flight.unsent(c)
    if n > sender.payload_room(c):
        n = sender.payload_room(c)
    if n > 0 and n <= seq.gap(seq.add(c.snd_una, c.snd_wnd), c.snd_nxt):
        sender.send_new(t, c, n)
    if c.snd_nxt == before and c.sent_count:
        c.flags |= structs.PROBED_AGAIN
        sender.retransmit(t, c, c.sent_count - 1)
    c.probe_end = c.snd_nxt
    timing.set_retransmission(t, c, True)


def persist(t, c):
    """Ask a peer with a shut window for it: RFC 9293, section 3.8.6.1.

    With an octet that it has acknowledged already, as Linux does: it answers all the same, and nothing is to be
    taken back.
    """
    c.probes += 1
    if c.snd_wnd > 0:
        # A window too small for a whole segment: after the wait a part goes out (RFC 1122, section 4.2.3.4).
        n = seq.gap(seq.add(c.snd_una, c.snd_wnd), c.snd_nxt)
        if n > flight.unsent(c):
            n = flight.unsent(c)
        if n > sender.payload_room(c):
            n = sender.payload_room(c)
        if n >= 0:
            sender.send_new(t, c, n)
            c.timer_kind = structs.TIMER_RTO
            timing.set_retransmission(t, c, True)
            return
    sender.emit(t, c, seq.add(c.snd_una, -1), 0, structs.ACK)
    c.backoff += 1
    c.retransmit_at = t.host.now + rto.backed_off(c)


def keep_alive(t, c):
    """Nothing was heard for long: ask whether the peer is there (RFC 1122, section 4.2.3.6); false when the record is
    gone.
    """
    if c.sent_count or (flight.unsent(c) > 0):
        # Data is on its way: its own timers find out.
        timing.keep(t, c)
        return True
    if c.keep_probes >= c.keep_count:
        closing.reset(t, c)
        closing.closed(t, c, structs.TIMED_OUT)
        return False
    c.keep_probes += 1
    sender.emit(t, c, seq.add(c.snd_nxt, -1), 0, structs.ACK)
    c.keep_at = t.host.now + seq.milliseconds(seq.number(c.keep_interval) * 1000)
    return True


def next_deadline(t):
    """When to poll next, 0 for never."""
    at = t.deadlines.first()
    if at == 0:
        return 0
    return structs.tcb(at).heap_deadline
