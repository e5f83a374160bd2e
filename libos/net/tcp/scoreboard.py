# cython: infer_types=True
"""What acknowledgments say of the segments in flight: cumulative ones, and SACK blocks (RFC 2018, RFC 6675)."""

from libos.net import seq, structs
from libos.net.tcp import flight, rack


def acknowledged(t, c, ack):
    """All before `ack` has arrived: octets that were not known to be there. Measures the round trip."""
    delivered = 0
    rtt = -1
    again = False
    while c.sent_count:
        s = flight.at(c, 0)
        end = seq.add(s.seq, s.length)
        if seq.gt(end, ack):
            part = seq.gap(ack, s.seq)
            if part > 0:
                # In the midst of a segment: what is left of it stays.
                if not s.marks & structs.SACKED:
                    delivered += part
                    if s.marks & structs.LOST:
                        c.lost -= part
                else:
                    c.sacked -= part
                c.flight -= part
                s.seq = ack
                s.length -= part
            break
        if not s.marks & structs.SACKED:
            delivered += s.length
            if s.times == 1 and rtt < 0:
                rtt = t.host.now - s.time
            rack.delivered(t, c, s)
        if s.times > 1:
            # What came behind a hole waited for it to be filled: that measures the repair, not the way.
            again = True
        flight.forget_oldest(c, s)
    if rtt >= 0 and not again:
        rack.timed(t, c, rtt)
    return delivered


def selected(t, c, left, right):
    """A SACK block (RFC 2018): octets that it newly reports. Of a segment that lies in it in part nothing is
    believed.
    """
    delivered = 0
    rtt = seq.number(-1)
    for i in range(c.sent_count):
        s = flight.at(c, i)
        end = seq.add(s.seq, s.length)
        if seq.ge(s.seq, right):
            break
        if s.marks & structs.SACKED or seq.lt(s.seq, left) or seq.gt(end, right):
            continue
        if s.marks & structs.LOST:
            c.lost -= s.length
            s.marks &= ~structs.LOST
        s.marks |= structs.SACKED
        c.sacked += s.length
        delivered += s.length
        if s.times == 1:
            rtt = t.host.now - s.time
        rack.delivered(t, c, s)
    if rtt >= 0:
        rack.timed(t, c, rtt)
    return delivered
