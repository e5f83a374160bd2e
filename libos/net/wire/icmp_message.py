# cython: infer_types=True
"""Messages of ICMP (RFC 792), ICMPv6 (RFC 4443) and Neighbor Discovery (RFC 4861)."""

from libos.net import octets, seq, structs
from libos.net.wire import ip_header


def link_scope():
    """First word of ff02::1, the group of all nodes on a link, and of all solicited-node groups."""
    return seq.words(0xFF020000, 0)


def node_group(low):
    """Second word of the solicited-node group of an address (RFC 4291, section 2.7.1)."""
    return seq.words(1, 0xFF000000) | (low & 0xFFFFFF)


def write_neighbor(at, kind, flags, high, low, option, mac):
    """A solicitation (135) or advertisement (136) for an address, with a link-layer address option: 32 octets."""
    octets.put32(at, kind << 24)
    octets.put32(at + 4, flags << 24)
    octets.put64(at + 8, high)
    octets.put64(at + 16, low)
    octets.put16(at + 24, option << 8 | 1)
    octets.put48(at + 26, mac)


def link_address(at, end, kind):
    """The source (1) or target (2) link-layer address among options; 0 where there is none or one is malformed."""
    found = seq.words(0, 0)
    while at < end:
        if at + 8 > end or octets.get8(at + 1) == 0:
            return 0
        if octets.get8(at) == kind:
            found = octets.get48(at + 2)
        at += octets.get8(at + 1) * 8
    return found if at == end else 0


def seal(at, length, source_high, source_low, target_high, target_low, protocol):
    """Write the sum of a message; ICMPv6's takes in a pseudo-header (RFC 4443, section 2.3)."""
    octets.put16(at + 2, 0)
    total = seq.low32(0)
    if protocol == structs.PROTOCOL_ICMPV6:
        total = ip_header.pseudo(source_high, source_low, target_high, target_low, protocol, length)
    octets.put16(at + 2, octets.sum(at, length, total) ^ 0xFFFF)


def sound(at, length, source_high, source_low, target_high, target_low, protocol):
    """Whether the sum of a message is right."""
    total = seq.low32(0)
    if protocol == structs.PROTOCOL_ICMPV6:
        total = ip_header.pseudo(source_high, source_low, target_high, target_low, protocol, length)
    return octets.sum(at, length, total) == 0xFFFF


def read_quoted(q, at, length):
    """Decode the beginning of a packet of ours that an error message quotes, down to its ports; false when it
    is none.
    """
    if length < 28:
        return False
    if octets.get8(at) >> 4 == 4:
        header = (octets.get8(at) & 15) * 4
        if header < 20 or length < header + 8 or octets.get16(at + 6) & 0x1FFF:
            return False
        q.protocol = octets.get8(at + 9)
        q.source_high = q.target_high = 0
        q.source_low = ip_header.MAPPED | octets.get32(at + 12)
        q.target_low = ip_header.MAPPED | octets.get32(at + 16)
    else:
        header = 40
        if octets.get8(at) >> 4 != 6 or length < 48:
            return False
        q.protocol = octets.get8(at + 6)
        q.source_high = octets.get64(at + 8)
        q.source_low = octets.get64(at + 16)
        q.target_high = octets.get64(at + 24)
        q.target_low = octets.get64(at + 32)
        if q.protocol == structs.FRAGMENT:
            if length < 56 or octets.get16(at + 42) & 0xFFF8:
                return False
            q.protocol = octets.get8(at + 40)
            header = 48
    q.source_port = octets.get16(at + header)
    q.target_port = octets.get16(at + header + 2)
    q.seq = octets.get32(at + header + 4)
    q.transport = at + header
    return True
