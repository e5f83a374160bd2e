# cython: infer_types=True
"""The retransmission time-out (RFC 6298)."""

from libos.net.tcp.congestion import control

INITIAL = 10**9  # section 2.1
# Section 2.4 says a second; Linux says 200 ms, and so do we: the delayed ACK of a peer takes 40 to 200 ms.
MINIMUM = 200 * 10**6
MAXIMUM = 120 * 10**9  # section 2.5 allows 60 s and more; Linux' value


def measured(c, rtt):
    """A segment that was sent once took `rtt` nanoseconds there and back (Karn's rule: RFC 6298, section 3)."""
    if rtt < 1:
        rtt = 1
    if c.srtt == 0:
        # The first measurement: section 2.2.
        c.srtt = rtt
        c.rttvar = rtt // 2
    else:
        # A later one: section 2.3.
        error = rtt - c.srtt
        if error < 0:
            c.rttvar += (-error - c.rttvar) // 4
        else:
            c.rttvar += (error - c.rttvar) // 4
        c.srtt += error // 8
        if c.srtt < 1:
            c.srtt = 1
    c.rto = c.srtt + 4 * c.rttvar
    if c.rto < MINIMUM:
        c.rto = MINIMUM
    if c.rto > MAXIMUM:
        c.rto = MAXIMUM
    control.measured(c, rtt)


def backed_off(c):
    """The time-out after so many that passed in vain: doubled each time (section 5.5)."""
    time = c.rto
    i = c.backoff
    while i > 0 and time < MAXIMUM:
        time *= 2
        i -= 1
    return time if time < MAXIMUM else MAXIMUM
