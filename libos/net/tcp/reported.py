# cython: infer_types=True
"""What ICMP reports of our segments (RFC 1122 section 4.2.3.9, RFC 5927, RFC 1191)."""

from libos.net import output, routes, seq, structs
from libos.net.tcp import closing, flight, sender


def error(t, q, what, hard):
    """`what` was reported of the segment `q`, which must be one on its way (RFC 5927, section 4.1)."""
    at = t.find(q.source_high, q.source_low, q.source_port, q.target_high, q.target_low, q.target_port)
    if at == 0:
        return
    c = structs.tcb(at)
    if c.state < structs.SYN_SENT or seq.lt(q.seq, c.snd_una) or seq.ge(q.seq, c.snd_nxt):
        return
    if c.state == structs.SYN_SENT or c.state == structs.SYN_RECEIVED:
        if hard or what == structs.HOST_UNREACHABLE or what == structs.NETWORK_UNREACHABLE:
            # Linux ends an attempt to connect with any of them; the RFC only with the hard ones. A user wants to know
            # at once.
            closing.closed(t, c, what)
        return
    # An established connection is not ended by what anybody can send: RFC 5927, section 5.2, against RFC 1122.
    c.soft_error = what


def smaller(t, q):
    """A segment was too large for its way: smaller ones from now on, and what was too large again (RFC 1191, section
    6.4).
    """
    at = t.find(q.source_high, q.source_low, q.source_port, q.target_high, q.target_low, q.target_port)
    if at == 0:
        return
    c = structs.tcb(at)
    if c.state < structs.ESTABLISHED or seq.lt(q.seq, c.snd_una) or seq.ge(q.seq, c.snd_nxt):
        return
    if not routes.learn_mtu(t.host, c.remote_high, c.remote_low, q.mss):
        return
    output.prepare(t.host, c)
    for i in range(c.sent_count):
        s = flight.at(c, i)
        if s.length > sender.payload_room(c):
            flight.lose(c, s)
    sender.transmit(t, c)
