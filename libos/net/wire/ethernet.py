# cython: infer_types=True
"""Ethernet II frames, with the tag of a virtual LAN passed over where its identifier is 0 (IEEE 802.3, 802.1Q)."""

from libos.net import octets, seq

EVERYBODY = 0xFFFFFFFFFFFF


def read(p, frame, length):
    """Decode the header of a frame; false when it is too short or came from a group."""
    if length < 14:
        return False
    p.frame = frame
    p.frame_length = length
    p.target_mac = octets.get48(frame)
    p.source_mac = octets.get48(frame + 6)
    p.ether_type = octets.get16(frame + 12)
    p.network = frame + 14
    p.network_length = length - 14
    p.broadcast = octets.get8(frame) & 1
    if p.ether_type == 0x8100:
        if length < 18 or octets.get16(frame + 14) & 0xFFF:
            return False
        p.ether_type = octets.get16(frame + 16)
        p.network += 4
        p.network_length -= 4
    return octets.get8(frame + 6) & 1 == 0


def write(at, target, source, kind):
    octets.put48(at, target)
    octets.put48(at + 6, source)
    octets.put16(at + 12, kind)


def group(high, low):
    """The Ethernet address of an IP group (RFC 1112, section 6.4; RFC 2464, section 7)."""
    if high:
        return seq.words(0x3333, seq.low32(low))
    return seq.words(0x0100, 0x5E000000 | seq.low32(low) & 0x7FFFFF)
