# cython: infer_types=True
"""From transport to frame: route, neighbor, IP header, and fragments of what is too long (RFC 791, RFC 8200 section
4.5).
"""

from libos.net import host as hosts
from libos.net import neighbors, octets, routes, seq, structs
from libos.net.wire import ethernet, ip_header


def prepare(host, c):
    """Write the headers of a connection's segments into its record; false when there is no route.

    They stay good until an address, a route, a path's MTU or a neighbor changes (`host.generation`).
    """
    c.generation = 0
    if not routes.find(host, c.remote_high, c.remote_low):
        return False
    at = structs.header_of(c)
    mac = neighbors.lookup(host, host.hop_high, host.hop_low)
    pseudo = ip_header.pseudo(
        c.local_high, c.local_low, c.remote_high, c.remote_low, structs.PROTOCOL_TCP, seq.number(0)
    )
    c.partial = pseudo
    if c.family == 4:
        ethernet.write(at, mac, host.mac, structs.TYPE_IPV4)
        ip_header.write4(
            at + 14,
            0,
            c.traffic_class,
            0,
            0x4000,
            c.time_to_live,
            structs.PROTOCOL_TCP,
            seq.low32(c.local_low),
            seq.low32(c.remote_low),
        )
        c.header_length = 34
    else:
        ethernet.write(at, mac, host.mac, structs.TYPE_IPV6)
        ip_header.write6(
            at + 14,
            0,
            c.traffic_class,
            c.ts_offset & 0xFFFFF,  # the flow label: any number that stays the same (RFC 6437, section 3)
            c.time_to_live,
            structs.PROTOCOL_TCP,
            c.local_high,
            c.local_low,
            c.remote_high,
            c.remote_low,
        )
        c.header_length = 54
    room = host.hop_mtu - (c.header_length - 14) - 20
    c.mss = c.peer_mss if c.peer_mss < room else room
    if c.user_mss and c.user_mss < c.mss:
        c.mss = c.user_mss
    if mac:
        c.generation = host.generation
    return True


def begin(host, c):
    """Address where the TCP header of the next segment goes, headers before it are written; 0 when nothing can go out
    now.
    """
    if c.generation != host.generation and not prepare(host, c):
        return 0
    at = host.out.reserve()
    if at == 0 or host.loop.count == host.loop.capacity:
        return 0
    octets.copy(at, structs.header_of(c), 64)
    return at + c.header_length


def end(host, c, at, length, ecn):
    """The segment of `length` octets at `at` is whole: lengths, sums, and out. `ecn`: the two bits of RFC 3168."""
    frame = at - c.header_length
    if c.family == 4:
        octets.put16(frame + 16, seq.low32(length) + 20)
        octets.put16(frame + 18, c.ident)
        c.ident += 1
        if ecn:
            octets.put8(frame + 15, octets.get8(frame + 15) | ecn)
        if not host.leave_checksums:
            # the sum in the header of the record is that of no length, ident and ECN
            total = (octets.get16(frame + 24) ^ 0xFFFF) + octets.get16(frame + 16) + octets.get16(frame + 18) + ecn
            total = (total & 0xFFFF) + (total >> 16)
            total = (total & 0xFFFF) + (total >> 16)
            octets.put16(frame + 24, total ^ 0xFFFF)
    else:
        octets.put16(frame + 18, seq.low32(length))
        if ecn:
            octets.put8(frame + 15, octets.get8(frame + 15) | ecn << 4)
    if not host.leave_checksums:
        total = c.partial + seq.low32(length)
        total = (total & 0xFFFF) + (total >> 16)
        octets.put16(at + 16, octets.sum(at, length, total) ^ 0xFFFF)
    host.frames_out += 1
    if c.generation == host.generation and octets.get48(frame) != host.mac:
        host.out.commit(c.header_length + length)
        return
    if routes.find(host, c.remote_high, c.remote_low):
        dispatch(host, frame, c.header_length + length, octets.get48(frame), host.hop_high, host.hop_low)


def dispatch(host, frame, length, mac, high, low):
    """A frame that lies where the outbox wants it goes out, back to ourselves, or waits for its next hop's address."""
    if mac == 0:
        neighbors.hold(host, high, low, frame, length)
    elif mac == host.mac:
        host.loop.put(frame, length)
    else:
        host.out.commit(length)


def begin_datagram(host, protocol, source_high, source_low, target_high, target_low, ttl, traffic_class, length):
    """Address where `length` octets of payload of one IP packet go, then `end_datagram`; 0 when nothing can go out now.

    The route was found, and the packet fits.
    """
    at = host.out.reserve()
    if at == 0:
        return 0
    mac = neighbors.lookup(host, host.hop_high, host.hop_low)
    host.frame_at = at
    host.frame_mac = mac
    if hosts.is4(target_high, target_low):
        ethernet.write(at, mac, host.mac, structs.TYPE_IPV4)
        host.ident = (host.ident + 1) & 0xFFFF
        ip_header.write4(
            at + 14,
            length + 20,
            traffic_class,
            host.ident,
            0,
            ttl,
            protocol,
            seq.low32(source_low),
            seq.low32(target_low),
        )
        host.frame_header = 34
    else:
        ethernet.write(at, mac, host.mac, structs.TYPE_IPV6)
        ip_header.write6(
            at + 14, length, traffic_class, 0, ttl, protocol, source_high, source_low, target_high, target_low
        )
        host.frame_header = 54
    return at + host.frame_header


def end_datagram(host, length):
    """The packet that was begun is whole."""
    host.frames_out += 1
    dispatch(host, host.frame_at, host.frame_header + length, host.frame_mac, host.hop_high, host.hop_low)


def datagram(host, protocol, source_high, source_low, target_high, target_low, ttl, traffic_class, payload, length):
    """Send `length` octets in as many packets as it takes: 0, or what is wrong, negative."""
    if not routes.find(host, target_high, target_low):
        return -structs.NETWORK_UNREACHABLE
    if length + (20 if hosts.is4(target_high, target_low) else 40) > host.hop_mtu:
        return fragmented(
            host, protocol, source_high, source_low, target_high, target_low, ttl, traffic_class, payload, length
        )
    at = begin_datagram(host, protocol, source_high, source_low, target_high, target_low, ttl, traffic_class, length)
    if at == 0:
        return -structs.WOULD_BLOCK
    octets.copy(at, payload, length)
    end_datagram(host, length)
    return 0


def fragmented(host, protocol, source_high, source_low, target_high, target_low, ttl, traffic_class, payload, length):
    """Send a datagram in fragments; all of them or none, as far as the outbox has room."""
    four = 20 if hosts.is4(target_high, target_low) else 48
    piece = (host.hop_mtu - four) // 8 * 8
    if length > 65535 - 20 or (length + piece - 1) // piece > host.out.capacity - host.out.count:
        return -structs.TOO_LONG if length > 65535 - 20 else -structs.WOULD_BLOCK
    hop_high = host.hop_high
    hop_low = host.hop_low
    mac = neighbors.lookup(host, hop_high, hop_low)
    host.ident = (host.ident + 1) & 0xFFFF
    # hard to foretell, so that nobody can slip in fragments of its own (RFC 7739)
    ident = host.ident if four == 20 else seq.low32(host.random())
    offset = 0
    while offset < length:
        part = length - offset if length - offset < piece else piece
        more = 1 if offset + part < length else 0
        at = host.out.reserve()
        if at == 0:
            return -structs.WOULD_BLOCK
        if four == 20:
            ethernet.write(at, mac, host.mac, structs.TYPE_IPV4)
            ip_header.write4(
                at + 14,
                part + 20,
                traffic_class,
                ident,
                more << 13 | offset >> 3,
                ttl,
                protocol,
                seq.low32(source_low),
                seq.low32(target_low),
            )
        else:
            ethernet.write(at, mac, host.mac, structs.TYPE_IPV6)
            ip_header.write6(
                at + 14,
                part + 8,
                traffic_class,
                0,
                ttl,
                structs.FRAGMENT,
                source_high,
                source_low,
                target_high,
                target_low,
            )
            octets.put16(at + 54, protocol << 8)
            octets.put16(at + 56, seq.low32(offset) | more)
            octets.put32(at + 58, ident)
        octets.copy(at + 14 + four, payload + offset, part)
        dispatch(host, at, 14 + four + part, mac, hop_high, hop_low)
        offset += part
    return 0
