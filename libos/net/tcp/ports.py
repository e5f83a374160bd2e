# cython: infer_types=True
"""Local ports: who may have which, and one that nobody can guess."""

from libos import raw
from libos.net import octets, seq, structs
from libos.net.tcp import closing


def overlap(c, d):
    """Whether two local addresses have one in common; 0 is all addresses of the family, and for IPv6 of both."""
    if c.local_high == d.local_high and c.local_low == d.local_low:
        if c.local_high or c.local_low or c.family == d.family:
            return True
        six = c if c.family == 6 else d
        return not six.options & structs.V6_ONLY
    any_c = c.local_high == 0 and c.local_low == 0
    any_d = d.local_high == 0 and d.local_low == 0
    if not any_c and not any_d:
        return False
    if c.family == d.family:
        return True
    wide = c if any_c else d
    return wide.family == 6 and not wide.options & structs.V6_ONLY


def conflict(t, c, port):
    """Whether a port is taken for `c`, by the rules of Linux (socket(7), SO_REUSEADDR and SO_REUSEPORT)."""
    at = raw.load(t.port_list(port))
    while at:
        d = structs.tcb(at)
        at = d.bound
        if d.local_port != port or structs.self_of(d) == structs.self_of(c) or not overlap(c, d):
            continue
        if c.options & d.options & structs.REUSE_PORT:
            continue
        if c.options & d.options & structs.REUSE_ADDRESS and d.state != structs.LISTEN:
            continue
        return True
    return False


def ephemeral(t, c, connecting):
    """A free port for `c`, 0 when all are taken: the double-hash of RFC 6056, section 3.3.4, over a fresh secret
    offset.
    """
    span = t.port_high - t.port_low + 1
    offset = seq.low32(
        octets.hash(
            t.host.key0, t.host.key1, c.local_low, c.remote_high, c.remote_low, c.remote_port, 2, t.host.random()
        )
    )
    i = 0
    while i < span:
        port = t.port_low + (offset + i) % span
        i += 1
        if not connecting:
            if not conflict(t, c, port):
                return port
            continue
        # A connection needs a pair of sockets of its own, not a port; but none that somebody asked for.
        if not asked_for(t, c, port) and clear_way(t, c, port):
            return port
    return 0


def asked_for(t, c, port):
    """Whether a port was chosen by a user, or has no peer yet."""
    at = raw.load(t.port_list(port))
    while at:
        d = structs.tcb(at)
        at = d.bound
        if d.local_port == port and (d.flags & structs.EXPLICIT or d.state <= structs.LISTEN) and overlap(c, d):
            return True
    return False


def clear_way(t, c, port):
    """Whether a local port makes a pair of sockets that is not in use. A TIME-WAIT makes way when its peer can tell old
    from new by timestamps, and a second has passed (RFC 6191).
    """
    at = t.find(c.local_high, c.local_low, port, c.remote_high, c.remote_low, c.remote_port)
    if at == 0:
        return True
    d = structs.tcb(at)
    if d.state != structs.TIME_WAIT or not d.flags & structs.TIMESTAMPS:
        return False
    if t.host.now - d.ts_recent_at < seq.milliseconds(1000):
        return False
    closing.closed(t, d, 0)
    return True
