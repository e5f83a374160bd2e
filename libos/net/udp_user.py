# cython: infer_types=True
"""What users of UDP call, by the address of a socket's record.

Answers are counts of octets or 0, or one of the errors of structs.pxd, negative. Locking as in stack.py.
"""

from libos import raw
from libos.net import groups, linked, octets, output, routes, seq, structs, udp
from libos.net import host as hosts
from libos.net.wire import ip_header


def write_header(at, source_port, target_port, length):
    """A header with no sum, for `length` octets of payload."""
    octets.put16(at, source_port)
    octets.put16(at + 2, target_port)
    octets.put16(at + 4, seq.low32(length) + 8)
    octets.put16(at + 6, 0)


def open(s, family):
    """A new socket of IPv4 (4) or IPv6 (6), 0 where there is no memory."""
    if s.host.tape.on:
        return s.host.tape.call(structs.CALL_UDP_OPEN, family, 0, 0, 0, 0, 0)
    at = s.host.pool.take(structs.udp_size())
    if at:
        u = structs.udp(at)
        u.family = family
        u.limit = s.limit
        u.time_to_live = 64
        u.multicast_ttl = 1
    return at


def conflict(s, u, port):
    """Whether a port is taken for `u` (socket(7), SO_REUSEADDR and SO_REUSEPORT)."""
    at = raw.load(s.port_list(port))
    while at:
        v = structs.udp(at)
        at = v.chain
        if v.local_port != port or structs.self_of_udp(u) == structs.self_of_udp(v):
            continue
        if u.options & v.options & (structs.REUSE_PORT | structs.REUSE_ADDRESS):
            continue
        if (u.local_high or u.local_low) and (v.local_high or v.local_low):
            if u.local_high != v.local_high or u.local_low != v.local_low:
                continue
        elif u.family != v.family and (u.options | v.options) & structs.V6_ONLY:
            continue
        return True
    return False


def ephemeral(s, u):
    """A free port at random (RFC 6056, section 3.3.1), 0 when all are taken."""
    span = s.port_high - s.port_low + 1
    offset = seq.low32(s.host.random() >> 16)
    i = 0
    while i < span:
        port = s.port_low + (offset + i) % span
        if not conflict(s, u, port):
            return port
        i += 1
    return 0


def bind(s, at, high, low, port):
    """Take a local address (0: any; a group is allowed) and a port (0: any that is free)."""
    if s.host.tape.on:
        return s.host.tape.call(structs.CALL_UDP_BIND, at, high, low, port, 0, 0)
    u = structs.udp(at)
    if u.local_port:
        return -structs.INVALID
    if (high or low) and not s.host.mine(high, low):
        if not hosts.is_multicast(high, low) and not s.host.broadcasts(high, low):
            return -structs.ADDRESS_UNAVAILABLE
    u.local_high = high
    u.local_low = low
    if port == 0:
        port = ephemeral(s, u)
    elif conflict(s, u, port):
        port = 0
    if port == 0:
        u.local_high = u.local_low = 0
        return -structs.IN_USE
    u.local_port = port
    linked.chain(s.port_list(port), at)
    return 0


def connect(s, at, high, low, port):
    """Exchange datagrams with one peer only."""
    if s.host.tape.on:
        return s.host.tape.call(structs.CALL_UDP_CONNECT, at, high, low, port, 0, 0)
    u = structs.udp(at)
    if not routes.find(s.host, high, low) or not s.host.source_for(high, low):
        return -structs.NETWORK_UNREACHABLE
    if s.host.broadcasts(high, low) and not u.options & structs.BROADCAST:
        return -structs.DENIED
    from_high = s.host.from_high
    from_low = s.host.from_low
    if u.local_port == 0:
        error = bind(s, at, 0, 0, 0)
        if error < 0:
            return error
    if u.local_high == 0 and u.local_low == 0:
        u.local_high = from_high
        u.local_low = from_low
    u.remote_high = high
    u.remote_low = low
    u.remote_port = port
    return 0


def disconnect(s, at):
    """Exchange datagrams with anybody again (connect(2) with AF_UNSPEC)."""
    if s.host.tape.on:
        return s.host.tape.call(structs.CALL_UDP_DISCONNECT, at, 0, 0, 0, 0, 0)
    u = structs.udp(at)
    u.remote_high = u.remote_low = u.remote_port = 0
    return 0


def send(s, at, address, length, high, low, port):
    """Send a datagram to a socket, or with port 0 to the connected peer: its length."""
    if s.host.tape.on:
        return s.host.tape.call(structs.CALL_UDP_SEND, at, address, length, high, low, port)
    u = structs.udp(at)
    if u.error:
        return -seq.number(take_error(s, at))
    if port == 0:
        if u.remote_port == 0:
            return -structs.INVALID if high or low else -structs.NOT_CONNECTED
        high = u.remote_high
        low = u.remote_low
        port = u.remote_port
    if length > 65507:
        return -structs.TOO_LONG
    if not routes.find(s.host, high, low):
        return -structs.NETWORK_UNREACHABLE
    if s.host.broadcasts(high, low) and not u.options & structs.BROADCAST:
        return -structs.DENIED
    source_high = u.local_high
    source_low = u.local_low
    if (source_high == 0 and source_low == 0) or hosts.is_multicast(source_high, source_low):
        if not s.host.source_for(high, low):
            return -structs.NETWORK_UNREACHABLE
        source_high = s.host.from_high
        source_low = s.host.from_low
    if u.local_port == 0:
        error = bind(s, at, 0, 0, 0)
        if error < 0:
            return error
    return send_from(s, u, address, length, source_high, source_low, high, low, port)


def send_from(s, u, address, length, source_high, source_low, high, low, port):
    """Send a datagram whose route was found."""
    group = hosts.is_multicast(high, low)
    ttl = u.multicast_ttl if group else u.time_to_live
    pseudo = ip_header.pseudo(source_high, source_low, high, low, structs.PROTOCOL_UDP, length + 8)
    at = output.begin_datagram(
        s.host,
        structs.PROTOCOL_UDP,
        source_high,
        source_low,
        high,
        low,
        ttl,
        u.traffic_class,
        length + 8,
    )
    if at == 0:
        return -structs.WOULD_BLOCK
    write_header(at, u.local_port, port, length)
    octets.copy(at + 8, address, length)
    if not s.host.leave_checksums or s.host.frame_at == s.host.scratch_at:  # fragments have theirs
        sum = octets.sum(at, length + 8, pseudo) ^ 0xFFFF
        octets.put16(at + 6, sum if sum else 0xFFFF)
    if group and not u.options & structs.NO_LOOP and s.member(high, low):
        to_ourselves(s, u, at, length + 8, source_high, source_low, high, low)
    output.end_datagram(s.host, length + 8)
    s.sent += 1
    return length


def to_ourselves(s, u, at, length, source_high, source_low, high, low):
    """A group that somebody here has joined hears our own datagrams too (RFC 1112, section 6.1)."""
    p = structs.packet(s.host.quoted_at)
    p.family = 4 if hosts.is4(high, low) else 6
    p.source_high = source_high
    p.source_low = source_low
    p.target_high = high
    p.target_low = low
    p.source_port = octets.get16(at)
    p.target_port = octets.get16(at + 2)
    p.payload = at + 8
    p.payload_length = length - 8
    p.hop_limit = u.multicast_ttl
    p.network = 0
    p.ecn = u.traffic_class
    s.to_members(p)


def first(s, at):
    """Address of the oldest datagram that waits (a Datagram), 0 where there is none."""
    return structs.udp(at).first


def payload(s, datagram):
    """Address of a datagram's payload."""
    return datagram + structs.datagram_size()


def pop(s, at):
    """Forget the oldest datagram."""
    if s.host.tape.on:
        s.host.tape.call(structs.CALL_UDP_POP, at, 0, 0, 0, 0, 0)
        return
    u = structs.udp(at)
    d = structs.datagram(u.first)
    size = structs.datagram_size() + d.length
    at = u.first
    u.first = d.next
    if u.first == 0:
        u.last = 0
    u.queued -= size
    s.host.pool.give(at, size)


def receive_into(s, at, address, size):
    """Copy the oldest datagram, cut off at `size`, and forget it: its whole length; WOULD_BLOCK where there is none."""
    if s.host.tape.on:
        return s.host.tape.call(structs.CALL_UDP_RECEIVE_INTO, at, address, size, 0, 0, 0)
    u = structs.udp(at)
    if u.error:
        return -seq.number(take_error(s, at))
    if u.first == 0:
        return -structs.WOULD_BLOCK
    length = structs.datagram(u.first).length
    octets.copy(address, payload(s, u.first), length if length < size else size)
    pop(s, at)
    return length


def join(s, at, high, low):
    """Hear a group (ip(7), IP_ADD_MEMBERSHIP)."""
    if s.host.tape.on:
        return s.host.tape.call(structs.CALL_UDP_JOIN, at, high, low, 0, 0, 0)
    u = structs.udp(at)
    if not hosts.is_multicast(high, low):
        return -structs.INVALID
    if udp.joined(u, high, low):
        return -structs.IN_USE
    if u.groups == structs.GROUPS:
        return -structs.NO_MEMORY
    if not s.member(high, low):
        groups.report(s.host, high, low, structs.GROUP_JOINED)
    u.group_high[u.groups] = high
    u.group_low[u.groups] = low
    u.groups += 1
    return 0


def leave(s, at, high, low):
    """Hear a group no more."""
    if s.host.tape.on:
        return s.host.tape.call(structs.CALL_UDP_LEAVE, at, high, low, 0, 0, 0)
    u = structs.udp(at)
    i = udp.group_index(u, high, low)
    if i < 0:
        return -structs.ADDRESS_UNAVAILABLE
    u.groups -= 1
    u.group_high[i] = u.group_high[u.groups]
    u.group_low[i] = u.group_low[u.groups]
    if not s.member(high, low):
        groups.report(s.host, high, low, structs.GROUP_LEFT)
    return 0


def close(s, at):
    """Let go of a socket and all that waits in it."""
    if s.host.tape.on:
        s.host.tape.call(structs.CALL_UDP_CLOSE, at, 0, 0, 0, 0, 0)
        return
    u = structs.udp(at)
    while u.first:
        pop(s, at)
    while u.groups:
        leave(s, at, u.group_high[0], u.group_low[0])
    linked.remove(s.events, structs.event_of_udp(u))
    if u.local_port:
        linked.unchain(s.port_list(u.local_port), at)
    s.host.pool.give(at, structs.udp_size())


def ready(s, at):
    """What poll(2) would say of a socket."""
    u = structs.udp(at)
    mask = structs.WRITABLE
    if u.first:
        mask |= structs.READABLE
    if u.error:
        mask |= structs.FAILED
    return mask


def take_error(s, at):
    """SO_ERROR: an error that was reported, which is then told; 0 where there is none."""
    if s.host.tape.on:
        return s.host.tape.call(structs.CALL_UDP_TAKE_ERROR, at, 0, 0, 0, 0, 0)
    u = structs.udp(at)
    error = u.error
    u.error = 0
    return error
