# cython: infer_types=True
"""Vegas (Brakmo and Peterson, 1995), the worked example of a congestion control of one's own: it reads the round trip.

Between two and four segments of ours shall wait in queues on the way. More: a segment less each window; fewer: one
more.
"""


def start(c):
    c.vegas_base = 0


def measured(c, rtt):
    """The shortest round trip is the way without queues."""
    if c.vegas_base == 0 or rtt < c.vegas_base:
        c.vegas_base = rtt


def acked(c, octets, now):
    c.acked_part += octets
    if c.acked_part < c.cwnd or c.srtt == 0:
        return
    c.acked_part = 0
    # cwnd / base is what could flow, cwnd / srtt what does; the difference times base waits somewhere
    waiting = c.cwnd * (c.srtt - c.vegas_base) // c.srtt
    if waiting < 2 * c.mss:
        c.cwnd += c.mss
    elif waiting > 4 * c.mss and c.cwnd > 2 * c.mss:
        c.cwnd -= c.mss
        if c.ssthresh > c.cwnd:
            c.ssthresh = c.cwnd
