"""What a sender's kernel has left to hardware that is not there: frames between hosts of one machine come with
checksums to be completed, and several segments in one (Documentation/networking/checksum-offloads and
segmentation-offloads). Here it is done, as the sender's network card would have.

How far a frame is from done stands in the ten bytes before it, struct virtio_net_hdr (packet(7), PACKET_VNET_HDR).
"""

from libos.devices import layout
from libos.net import octets

COMPILED = __file__.endswith(".so")


def complete(frame, length, start, offset):
    """Complete a checksum: the pseudo-header's sum is at `start` + `offset`. False: it can't be."""
    if start < layout.HEADER or start + offset + 2 > length:
        return False
    total = octets.sum(frame + start, length - start, 0) ^ 0xFFFF
    # of UDP, 0 says that there is none (RFC 768)
    octets.put16(frame + start + offset, total if total or offset != layout.UDP_SUM else 0xFFFF)
    return True


def mended(frame, length):
    """Complete the checksum of a frame of which nothing says whether that is left to do: it is where the sum of the
    pseudo-header alone is found, and that is not by chance what is right. Other frames stay as they are.
    """
    ip = frame + layout.HEADER
    if octets.get16(frame + 12) == 0x0800 and length >= layout.HEADER + 28:
        header = (octets.get8(ip) & 15) * 4
        inner = octets.get16(ip + 2) - header
        protocol, ends, size = octets.get8(ip + 9), ip + 12, 8
        if header < 20 or octets.get16(ip + 6) & 0x3FFF:  # of fragments the last hop's checksum is there
            return
    elif octets.get16(frame + 12) == 0x86DD and length >= layout.HEADER + 48:
        header, inner = 40, octets.get16(ip + 4)
        protocol, ends, size = octets.get8(ip + 6), ip + 8, 32
    else:
        return
    offset = layout.TCP_SUM if protocol == 6 else layout.UDP_SUM
    if protocol != 6 and protocol != 17 or inner < offset + 2 or layout.HEADER + header + inner > length:
        return
    pseudo = octets.sum(ends, size, protocol + inner)
    if octets.get16(ip + header + offset) == pseudo and octets.sum(ip + header, inner, pseudo) != 0xFFFF:
        complete(frame, layout.HEADER + header + inner, layout.HEADER + header, offset)


class Cutter:
    """Cuts a frame of many segments of TCP, or datagrams of UDP, into what goes on a wire."""

    def __init__(self):
        self.rest = 0  # bytes of payload that are still to be cut off
        self.frame = self.start = self.header = self.size = self.sum = self.done = self.kind = self.count = 0

    def begin(self, frame, length, kind, size, start):
        """Take a frame to be cut after each `size` bytes of payload; `start`: its transport header. False: it can't."""
        self.rest = 0
        self.kind = kind & layout.V_KIND
        udp = self.kind == layout.V_UDP
        if not udp and self.kind != layout.V_TCP4 and self.kind != layout.V_TCP6:
            return False
        if size == 0 or start < layout.HEADER + 20 or start + 20 > length:
            return False
        version = octets.get8(frame + layout.HEADER) >> 4
        if version == 4 and octets.get16(frame + 12) != 0x0800 or version == 6 and octets.get16(frame + 12) != 0x86DD:
            return False
        if version != 4 and (version != 6 or start < layout.HEADER + 40):
            return False
        self.header = start + (8 if udp else (octets.get8(frame + start + 12) >> 4) * 4)
        if self.header >= length or not udp and self.header < start + 20:
            return False
        self.frame, self.start, self.size = frame, start, size
        field = frame + start + (layout.UDP_SUM if udp else layout.TCP_SUM)
        # the sum of the pseudo-header, less the length in it
        self.sum = octets.get16(field) + 0xFFFF - (length - start)
        octets.put16(field, 0)
        self.rest = length - self.header
        self.done = self.count = 0
        return True

    def cut(self, at):
        """Write the next frame to `at`; its length."""
        n = self.size if self.size < self.rest else self.rest
        self.rest -= n
        octets.copy(at, self.frame, self.header)
        octets.copy(at + self.header, self.frame + self.header + self.done, n)
        inner = self.header - self.start + n  # transport header and payload
        ip = at + layout.HEADER
        if octets.get8(ip) >> 4 == 4:
            octets.put16(ip + 2, self.start - layout.HEADER + inner)
            octets.put16(ip + 4, (octets.get16(ip + 4) + self.count) & 0xFFFF)
            octets.put16(ip + 10, 0)
            octets.put16(ip + 10, octets.sum(ip, (octets.get8(ip) & 15) * 4, 0) ^ 0xFFFF)
        else:
            octets.put16(ip + 4, self.start - layout.HEADER - 40 + inner)
        transport = at + self.start
        if self.kind == layout.V_UDP:
            octets.put16(transport + 4, inner)
            field = transport + layout.UDP_SUM
        else:
            octets.put32(transport + 4, (octets.get32(transport + 4) + self.done) & layout.TURNS)
            if self.rest:
                octets.put8(transport + 13, octets.get8(transport + 13) & 0xF6)  # FIN and PSH are the last one's
            if self.done:
                octets.put8(transport + 13, octets.get8(transport + 13) & 0x7F)  # CWR the first one's
            field = transport + layout.TCP_SUM
        total = octets.sum(transport, inner, folded(self.sum + inner)) ^ 0xFFFF
        octets.put16(field, total if total or self.kind != layout.V_UDP else 0xFFFF)
        self.done += n
        self.count += 1
        return self.header + n


def folded(total):
    """Of 16 bits, as a sum in one's complement."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)
