# cython: infer_types=True
"""NewReno: one segment more for each window acknowledged, half of it after a loss (RFC 5681, RFC 6582)."""

from libos.net.tcp import flight


def acked(c, octets, now):
    # Congestion avoidance counts octets: RFC 5681, section 3.1, the recommended way (RFC 3465).
    c.acked_part += octets
    if c.acked_part >= c.cwnd:
        c.acked_part -= c.cwnd
        c.cwnd += c.mss


def lost(c, now):
    # Half of what is in flight, two segments at least: RFC 5681, equation 4.
    half = (c.flight + flight.waiting(c)) // 2
    return half if half > 2 * c.mss else 2 * c.mss
