# cython: infer_types=True
"""The header of TCP (RFC 9293, section 3.1) and its options: MSS, window scale and timestamps (RFC 7323), SACK (RFC
2018).
"""

from libos.net import octets, structs


def read(p):
    """Decode the segment at p.transport; false when it is malformed. The sum is not looked at."""
    at = p.transport
    if p.transport_length < 20:
        return False
    word = octets.get16(at + 12)
    header = (word >> 12) * 4
    if header < 20 or header > p.transport_length:
        return False
    p.source_port = octets.get16(at)
    p.target_port = octets.get16(at + 2)
    p.seq = octets.get32(at + 4)
    p.ack = octets.get32(at + 8)
    p.flags = word & 0xFF
    p.window = octets.get16(at + 14)
    p.urgent = octets.get16(at + 18)
    p.payload = at + header
    p.payload_length = p.transport_length - header
    p.has_timestamp = p.sacks = p.mss = p.has_scale = p.sack_permitted = 0
    # what nearly all segments look like (RFC 7323, appendix A)
    if header == 32 and octets.get32(at + 20) == 0x0101080A:
        p.has_timestamp = 1
        p.ts_value = octets.get32(at + 24)
        p.ts_echo = octets.get32(at + 28)
    elif header > 20:
        options(p, at + 20, at + header)
    return True


def options(p, at, end):
    """Decode options; from the first malformed one on they are ignored (RFC 9293, section 3.1, MUST-7)."""
    while at < end:
        kind = octets.get8(at)
        if kind == structs.OPTION_END:
            return
        if kind == structs.OPTION_NOTHING:
            at += 1
            continue
        if at + 2 > end:
            return
        size = octets.get8(at + 1)
        if size < 2 or at + size > end:
            return
        if kind == structs.OPTION_TIMESTAMP and size == 10:
            p.has_timestamp = 1
            p.ts_value = octets.get32(at + 2)
            p.ts_echo = octets.get32(at + 6)
        elif kind == structs.OPTION_SACK and size >= 10 and (size - 2) & 7 == 0:
            i = 0
            while i < 4 and i * 8 + 10 <= size:
                p.sack_left[i] = octets.get32(at + 2 + i * 8)
                p.sack_right[i] = octets.get32(at + 6 + i * 8)
                i += 1
            p.sacks = i
        elif p.flags & structs.SYN:
            # the others are good in a SYN only
            if kind == structs.OPTION_MSS and size == 4:
                p.mss = octets.get16(at + 2)
            elif kind == structs.OPTION_SCALE and size == 3:
                p.has_scale = 1
                p.scale = octets.get8(at + 2)
            elif kind == structs.OPTION_SACK_PERMITTED and size == 2:
                p.sack_permitted = 1
        at += size


def write(at, source_port, target_port, seq, ack, flags, window, urgent, header_length):
    """A header with no sum yet; its options are written behind."""
    octets.put16(at, source_port)
    octets.put16(at + 2, target_port)
    octets.put32(at + 4, seq)
    octets.put32(at + 8, ack)
    octets.put16(at + 12, header_length << 10 | flags)
    octets.put16(at + 14, window)
    octets.put32(at + 16, urgent)


def write_timestamp(at, value, echo):
    """The option behind two octets of padding; each of these answers the address behind what it wrote."""
    octets.put32(at, 0x0101080A)
    octets.put32(at + 4, value)
    octets.put32(at + 8, echo)
    return at + 12


def write_mss(at, mss):
    octets.put32(at, 0x02040000 | mss)
    return at + 4


def write_scale(at, scale):
    octets.put32(at, 0x01030300 | scale)
    return at + 4


def write_sack_permitted(at):
    octets.put32(at, 0x01010402)
    return at + 4
