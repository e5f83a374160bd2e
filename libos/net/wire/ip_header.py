# cython: infer_types=True
"""The headers of IPv4 (RFC 791) and IPv6 (RFC 8200)."""

from libos.net import octets, seq, structs

MAPPED = 0xFFFF00000000  # the second word of an IPv4 address


def pseudo(source_high, source_low, target_high, target_low, protocol, length):
    """Sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1), 16 bits.

    One formula for both: the 0xFFFF of a mapped IPv4 address is zero in one's complement.
    """
    total = protocol + length
    total += (source_high >> 32) + seq.low32(source_high) + (source_low >> 32) + seq.low32(source_low)
    total += (target_high >> 32) + seq.low32(target_high) + (target_low >> 32) + seq.low32(target_low)
    total = (total & 0xFFFF) + (total >> 16 & 0xFFFF) + (total >> 32)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def read4(p, trust):
    """Decode the IPv4 header at p.network; false when it is malformed. `trust`: the device has checked its sum."""
    at = p.network
    if p.network_length < 20 or octets.get8(at) >> 4 != 4:
        return False
    header = (octets.get8(at) & 15) * 4
    total = octets.get16(at + 2)
    if header < 20 or total < header or total > p.network_length:
        return False
    if not trust and octets.sum(at, header, 0) != 0xFFFF:
        return False
    if header > 20 and not options4(at + 20, header - 20):
        return False
    p.network_length = total
    p.family = 4
    p.ecn = octets.get8(at + 1) & 3
    p.fragment_id = octets.get16(at + 4)
    fragment = octets.get16(at + 6)
    p.dont_fragment = fragment & 0x4000
    p.more_fragments = fragment & 0x2000
    p.fragment_offset = (fragment & 0x1FFF) * 8
    p.hop_limit = octets.get8(at + 8)
    p.protocol = octets.get8(at + 9)
    p.source_high = p.target_high = 0
    p.source_low = MAPPED | octets.get32(at + 12)
    p.target_low = MAPPED | octets.get32(at + 16)
    p.transport = at + header
    p.transport_length = total - header
    return True


def traffic_class(p):
    """The whole octet of which `p.ecn` is a part; of our own, that has no header, there is no more than that."""
    if p.network == 0:
        return p.ecn
    if p.family == 4:
        return octets.get8(p.network + 1) & 0xFC | p.ecn
    return octets.get16(p.network) >> 4 & 0xFC | p.ecn


def options4(at, length):
    """Whether options are well formed and name no route: source routing is refused (RFC 7126, section 4.3)."""
    end = at + length
    while at < end:
        kind = octets.get8(at)
        if kind == 0:
            return True
        if kind == 1:
            at += 1
            continue
        if at + 2 > end or kind == 131 or kind == 137:
            return False
        size = octets.get8(at + 1)
        if size < 2 or at + size > end:
            return False
        at += size
    return True


def write4(at, length, traffic_class, ident, fragment, ttl, protocol, source, target):
    """An IPv4 header of 20 octets for a datagram of `length` octets; `fragment` is the field of flags and offset."""
    octets.put16(at, 0x4500 | traffic_class)
    octets.put16(at + 2, length)
    octets.put16(at + 4, ident)
    octets.put16(at + 6, fragment)
    octets.put16(at + 8, ttl << 8 | protocol)
    octets.put16(at + 10, 0)
    octets.put32(at + 12, source)
    octets.put32(at + 16, target)
    octets.put16(at + 10, octets.sum(at, 20, 0) ^ 0xFFFF)


def fragment4(at, length, fragment):
    """Make the header of a fragment of that of its datagram."""
    octets.put16(at + 2, length)
    octets.put16(at + 6, fragment)
    octets.put16(at + 10, 0)
    octets.put16(at + 10, octets.sum(at, 20, 0) ^ 0xFFFF)


def read6(p):
    """Decode the IPv6 header at p.network and those behind it; false when one is malformed or names a route."""
    at = p.network
    if p.network_length < 40 or octets.get8(at) >> 4 != 6:
        return False
    length = 40 + octets.get16(at + 4)
    if length > p.network_length:
        return False
    p.network_length = length
    p.family = 6
    p.ecn = octets.get8(at + 1) >> 4 & 3
    p.hop_limit = octets.get8(at + 7)
    p.source_high = octets.get64(at + 8)
    p.source_low = octets.get64(at + 16)
    p.target_high = octets.get64(at + 24)
    p.target_low = octets.get64(at + 32)
    p.fragment_id = p.fragment_offset = p.more_fragments = 0
    p.dont_fragment = 1
    if p.source_high >> 56 == 0xFF or (p.source_high == 0 and p.source_low >> 32 == 0xFFFF):
        return False  # neither a group nor a mapped address can send (RFC 4291, sections 2.7 and 2.5.5.2)
    return extensions(p, octets.get8(at + 6), at + 40, at + length)


def extensions(p, kind, at, end):
    """Go over extension headers (RFC 8200, section 4) to what they carry; what is unknown stays as `protocol`."""
    while (
        kind == structs.HOP_BY_HOP
        or kind == structs.ROUTING
        or kind == structs.FRAGMENT
        or kind == structs.DESTINATION_OPTIONS
    ):
        if at + 8 > end:
            return False
        if kind == structs.FRAGMENT:
            if p.more_fragments or p.fragment_offset:
                return False
            p.fragment_offset = octets.get16(at + 2) & 0xFFF8
            p.more_fragments = octets.get16(at + 2) & 1
            p.fragment_id = octets.get32(at + 4)
            kind = octets.get8(at)
            at += 8
            if p.more_fragments or p.fragment_offset:
                break
            continue
        size = (octets.get8(at + 1) + 1) * 8
        if at + size > end:
            return False
        if kind == structs.ROUTING:
            if octets.get8(at + 3):  # segments left: we are no router
                return False
        elif not options6(p, at + 2, at + size):
            return False
        kind = octets.get8(at)
        at += size
    p.protocol = kind
    p.transport = at
    p.transport_length = end - at
    return True


def options6(p, at, end):
    """Whether the options of one header can be passed over (RFC 8200, section 4.2)."""
    while at < end:
        kind = octets.get8(at)
        if kind == 0:
            at += 1
            continue
        if at + 2 > end or at + 2 + octets.get8(at + 1) > end:
            return False
        if kind != 1 and kind != 5 and kind >> 6:  # neither padding nor router alert, and not to be skipped
            return False
        at += 2 + octets.get8(at + 1)
    return True


def write6(at, length, traffic_class, flow, hop_limit, protocol, source_high, source_low, target_high, target_low):
    """An IPv6 header for `length` octets behind it."""
    octets.put32(at, 0x60000000 | traffic_class << 20 | flow)
    octets.put16(at + 4, length)
    octets.put8(at + 6, protocol)
    octets.put8(at + 7, hop_limit)
    octets.put64(at + 8, source_high)
    octets.put64(at + 16, source_low)
    octets.put64(at + 24, target_high)
    octets.put64(at + 32, target_low)


def fragment6(at, length, fragment, ident):
    """Make the header of a fragment of that of its datagram, with one of its own behind it: where its octets go."""
    octets.put16(at + 4, length + 8)
    octets.put16(at + 40, octets.get8(at + 6) << 8)
    octets.put8(at + 6, structs.FRAGMENT)
    octets.put16(at + 42, fragment)
    octets.put32(at + 44, ident)
    return at + 48
