# cython: infer_types=True
"""When the timers of a connection run, and the clock of its timestamps."""

from libos.net import seq, structs
from libos.net.tcp import flight, rto

DELAYED_ACK = 40 * 10**6  # RFC 1122, section 4.2.3.2 says less than 500 ms; Linux' least


def begin(t, c):
    """Where the timestamp clock of a pair of sockets begins: always at the same value (RFC 7323, section 7.1)."""
    c.ts_offset = t.secret(c, 3)


def stamp(t, c):
    """The timestamp clock: milliseconds (RFC 7323, section 5.4), begun elsewhere for each connection."""
    return seq.add(c.ts_offset, t.host.now // 1000000)


def probe_time(c):
    """The probe time-out of a tail (RFC 8985, section 7.2): two round trips, and the delay of an ACK for a lone
    segment.
    """
    wait = 2 * c.srtt
    if c.sent_count == 1:
        wait += DELAYED_ACK
    return wait if wait > 2000000 else 2000000


def set_retransmission(t, c, restart):
    """Have the right timer run: retransmission or probe while segments are out, persist while the window is shut.

    `restart`: something was newly acknowledged (RFC 6298, section 5.3), or the oldest segment was sent again.
    """
    now = t.host.now
    if c.sent_count == 0:
        if flight.unsent(c) > 0 or (flight.unsent(c) == 0 and c.flags & structs.FIN_QUEUED):
            # All is acknowledged and there is more, but no window: ask for it (RFC 9293, section 3.8.6.1).
            if c.timer_kind != structs.TIMER_PERSIST or c.retransmit_at == 0:
                c.timer_kind = structs.TIMER_PERSIST
                c.retransmit_at = now + rto.backed_off(c)
            return
        c.retransmit_at = 0
        c.backoff = 0
        c.probes = 0
        c.timer_kind = structs.TIMER_RTO
        return
    if c.retransmit_at and not restart and c.timer_kind == structs.TIMER_RTO:
        return
    due = now + rto.backed_off(c)
    if c.retransmit_at and not restart and c.timer_kind == structs.TIMER_PROBE:
        # A probe is put off by what is sent after it was set, the time-out is not.
        due = flight.at(c, 0).time + rto.backed_off(c)
    c.timer_kind = structs.TIMER_RTO
    c.retransmit_at = due
    # A tail loss probe instead, while nothing is known to be lost: RFC 8985, section 7.2.
    if (
        c.flags & structs.SACK
        and not c.flags & structs.PROBED
        and c.recovery == structs.OPEN
        and c.srtt
        and c.backoff == 0
        and c.state >= structs.ESTABLISHED
        and c.sacked == 0
    ):
        wait = probe_time(c)
        if now + wait < c.retransmit_at:
            c.timer_kind = structs.TIMER_PROBE
            c.retransmit_at = now + wait


def keep(t, c):
    """Something was heard of the peer: the keep-alive timer begins anew (RFC 1122, section 4.2.3.6)."""
    c.keep_probes = 0
    if c.options & structs.KEEPALIVE and c.state >= structs.ESTABLISHED and c.state != structs.TIME_WAIT:
        c.keep_at = t.host.now + seq.milliseconds(seq.number(c.keep_idle) * 1000)
    else:
        c.keep_at = 0
