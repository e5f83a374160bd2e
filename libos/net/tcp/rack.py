# cython: infer_types=True
"""What is lost: RACK (RFC 8985, section 6.2) beside the count of three of RFC 6675, in one look at the scoreboard."""

from libos.net import seq, structs
from libos.net.tcp import flight, rto

THRESHOLD = 3  # DupThresh: RFC 6675, section 2
PERSIST = 16  # recoveries that a wider window outlives: RFC 8985, section 6.2, step 4
LEAST_LIFE = 300 * 10**9  # of a least round trip: Linux' tcp_min_rtt_wlen


def later(time, end, other, other_end):
    """Whether a segment was sent after another one; of one moment the higher is the later (RFC 8985, section 6.2)."""
    return time > other or (time == other and seq.gt(end, other_end))


def delivered(t, c, s):
    """A segment has arrived that was not known to be there: step 2 and, for reordering, step 3 of RFC 8985."""
    end = seq.add(s.seq, s.length)
    rtt = t.host.now - s.time
    if s.times == 1:
        # One that was never sent again and arrives below the highest delivered: the network reorders.
        if seq.lt(end, c.fack):
            c.reordered = 1
    elif rtt < c.min_rtt:
        # Acknowledged sooner than can be: it is the first transmission that has arrived.
        return
    if seq.gt(end, c.fack):
        c.fack = end
    if later(s.time, end, c.rack_time, c.rack_end):
        c.rack_time = s.time
        c.rack_end = end
        c.rack_rtt = rtt


def timed(t, c, rtt):
    """A segment that was sent once has arrived: step 1. The least round trip is that of the last minutes, for ways
    change.
    """
    rto.measured(c, rtt)
    if c.min_rtt == 0 or rtt < c.min_rtt or t.host.now - c.min_rtt_at > LEAST_LIFE:
        c.min_rtt = rtt if rtt > 0 else 1
        c.min_rtt_at = t.host.now


def duplicated(c):
    """A DSACK: something was sent again for nothing, so wait longer (step 4), once a round trip."""
    if seq.gt(c.snd_una, c.rack_round):
        c.rack_round = c.snd_nxt
        c.rack_steps += 1
        c.rack_persist = PERSIST


def repaired(c):
    """A recovery is over: so many of them without a DSACK, and the window is as small as at first (step 4)."""
    if c.rack_persist:
        c.rack_persist -= 1
        if c.rack_persist == 0:
            c.rack_steps = 1


def window(c):
    """How much later than the newest delivered a segment may come: step 4."""
    if c.reordered == 0 and (c.recovery != structs.OPEN or c.sacked >= seq.number(THRESHOLD) * c.mss):
        return 0
    least = c.min_rtt // 4 * c.rack_steps
    return least if least < c.srtt else c.srtt


def detect(t, c):
    """Mark what is lost, and say when to look again: step 5."""
    c.reorder_at = 0
    if c.sacked == 0 and c.recovery == structs.OPEN:
        return
    wait = 0
    above = 0
    reach = window(c)
    i = c.sent_count - 1
    while i >= 0:
        s = flight.at(c, i)
        i -= 1
        if s.marks & structs.SACKED:
            above += 1
            continue
        if s.marks & structs.LOST:
            continue
        # Three segments above it have arrived: RFC 6675, section 4, IsLost; not where the network is known to reorder.
        if above >= THRESHOLD and not s.marks & structs.AGAIN and c.reordered == 0:
            flight.lose(c, s)
            continue
        if later(c.rack_time, c.rack_end, s.time, seq.add(s.seq, s.length)):
            left = s.time + c.rack_rtt + reach - t.host.now
            if left <= 0:
                flight.lose(c, s)
            elif left > wait:
                wait = left
    if wait:
        c.reorder_at = t.host.now + wait
