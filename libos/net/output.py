# cython: infer_types=True
"""From transport to frame: route, neighbor, IP header, and fragments of what is too long (RFC 791, RFC 8200 section
4.5).
"""

from libos.net import host as hosts
from libos.net import neighbors, octets, routes, seq, structs
from libos.net.wire import ethernet, ip_header

LONGEST = 65535 - 20  # octets in a datagram, of IPv4 with its header


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
    octets.copy(at, structs.header_of(c), 56)
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
        if host.cut and length > c.mss + 20 and not octets.get8(at + 13) & structs.SYN:  # of several segments
            host.out.commit(segments(c, at, c.header_length + length))
        else:
            host.out.commit(c.header_length + length)
        return
    if routes.find(host, c.remote_high, c.remote_low):
        dispatch(host, frame, c.header_length + length, octets.get48(frame), host.hop_high, host.hop_low)


def segments(c, at, length):
    """The length of a frame that its device is to cut, with the octets of payload of each segment."""
    header = (octets.get8(at + 12) >> 4) * 4
    size = c.mss + 20 - header
    c.ident += seq.low32((length - c.header_length - header - 1) // size)  # of the first it is counted already
    return length | seq.shift(size, 48)


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

    The route was found. What does not fit is written aside, and goes out in fragments.
    """
    four = hosts.is4(target_high, target_low)
    header = 20 if four else 40
    at = host.out.reserve()
    if length + header > host.hop_mtu:
        at = host.scratch_at
        piece = fragment_size(host, four)
        if length > LONGEST or (length + piece - 1) // piece > host.out.capacity - host.out.count:
            return 0
    if at == 0:
        return 0
    mac = neighbors.lookup(host, host.hop_high, host.hop_low)
    host.frame_at = at
    host.frame_mac = mac
    host.frame_header = 14 + header
    if four:
        ethernet.write(at, mac, host.mac, structs.TYPE_IPV4)
        host.ident = (host.ident + 1) & 0xFFFF
        ip_header.write4(
            at + 14,
            seq.low32(length) + 20,
            traffic_class,
            host.ident,
            0,
            ttl,
            protocol,
            seq.low32(source_low),
            seq.low32(target_low),
        )
    else:
        ethernet.write(at, mac, host.mac, structs.TYPE_IPV6)
        ip_header.write6(
            at + 14, length, traffic_class, 0, ttl, protocol, source_high, source_low, target_high, target_low
        )
    return at + host.frame_header


def end_datagram(host, length):
    """The packet that was begun is whole."""
    host.frames_out += 1
    if host.frame_at == host.scratch_at:
        fragmented(host, length)
    else:
        dispatch(host, host.frame_at, host.frame_header + length, host.frame_mac, host.hop_high, host.hop_low)


def fragment_size(host, four):
    """Octets of a datagram that go into each of its fragments but the last."""
    return (host.hop_mtu - (20 if four else 48)) // 8 * 8


def fragmented(host, length):
    """Send the packet that lies aside in fragments, for all of which there is room."""
    whole = host.frame_at
    header = host.frame_header
    four = header == 34
    piece = fragment_size(host, four)
    # hard to foretell, so that nobody can slip in fragments of its own (RFC 7739)
    ident = seq.low32(host.random())
    offset = 0
    while offset < length:
        part = length - offset if length - offset < piece else piece
        more = 1 if offset + part < length else 0
        at = host.out.reserve()
        octets.copy(at, whole, header)
        to = at + header
        if four:
            ip_header.fragment4(at + 14, seq.low32(part) + 20, seq.low32(more << 13 | offset >> 3))
        else:
            to = ip_header.fragment6(at + 14, seq.low32(part), seq.low32(offset | more), ident)
        octets.copy(to, whole + header + offset, part)
        dispatch(host, at, to + part - at, host.frame_mac, host.hop_high, host.hop_low)
        offset += part
