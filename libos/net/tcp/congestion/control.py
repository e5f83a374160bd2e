# cython: infer_types=True
"""Slow start, which all congestion controls share (RFC 5681, section 3.1), and who is asked beyond it."""

from libos.net import structs
from libos.net.tcp.congestion import cubic, newreno, vegas

FOREVER = 1 << 40  # ssthresh before the first loss


def initial(c):
    """The initial window: ten segments, at most 14600 octets where they are larger (RFC 6928, section 2)."""
    most = 2 * c.mss if 2 * c.mss > 14600 else 14600
    return 10 * c.mss if 10 * c.mss < most else most


def start(c):
    c.cwnd = initial(c)
    c.ssthresh = FOREVER
    c.acked_part = 0
    cubic.start(c)
    vegas.start(c)


def restart(c):
    """After an idle time longer than the RTO no more than the initial window is known to fit: RFC 5681, section 4.1."""
    if c.cwnd > initial(c):
        c.cwnd = initial(c)
    c.cubic_start = 0


def acked(c, octets, now):
    """Octets were acknowledged while the window was in use."""
    if c.cwnd < c.ssthresh:
        # one octet for each acknowledged, up to the threshold (RFC 3465 with L = 2 * SMSS is Linux's no more; nor ours)
        c.cwnd += octets
        if c.cwnd > c.ssthresh:
            c.cwnd = c.ssthresh
        return
    if c.congestion == structs.CUBIC:
        cubic.acked(c, octets, now)
    elif c.congestion == structs.VEGAS:
        vegas.acked(c, octets, now)
    else:
        newreno.acked(c, octets, now)


def lost(c, now):
    """The new ssthresh after a loss or a mark of congestion."""
    c.acked_part = 0
    if c.congestion == structs.CUBIC:
        return cubic.lost(c, now)
    return newreno.lost(c, now)


def measured(c, rtt):
    if c.congestion == structs.VEGAS:
        vegas.measured(c, rtt)
