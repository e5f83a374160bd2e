"""Frames written and read without the stack's own code: what tests put on the wire and expect there."""

import functools
import socket
import struct
from dataclasses import dataclass, field

FLAGS = "FSRP.UEC"  # FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, from the lowest bit on
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@functools.cache
def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


@functools.cache
def words(address):
    """An address as the stack has it: two words."""
    raw = packed(address)
    if len(raw) == 4:
        raw = b"\0" * 10 + b"\xff\xff" + raw
    return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")


def pseudo(source, target, protocol, length):
    if ":" in source:
        return packed(source) + packed(target) + struct.pack(">II", length, protocol)
    return packed(source) + packed(target) + struct.pack(">HH", protocol, length)


def ip(source, target, protocol, payload, ttl=64, tos=0, ident=1, fragment=0):
    """An IPv4 or IPv6 packet."""
    if ":" in source:
        head = struct.pack(">IHBB", 6 << 28 | tos << 20, len(payload), protocol, ttl)
        return head + packed(source) + packed(target) + payload
    head = struct.pack(">BBHHHBBH", 0x45, tos, 20 + len(payload), ident, fragment, ttl, protocol, 0)
    head += packed(source) + packed(target)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ethernet(target, source, packet):
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return target.to_bytes(6, "big") + source.to_bytes(6, "big") + struct.pack(">H", kind) + packet


def udp(source, target, ports, payload, **ip_fields):
    head = struct.pack(">HHHH", *ports, 8 + len(payload), 0)
    total = checksum(pseudo(source, target, UDP, 8 + len(payload)) + head + payload) or 0xFFFF
    return ip(source, target, UDP, head[:6] + struct.pack(">H", total) + payload, **ip_fields)


def icmp(source, target, kind, code, rest, payload=b""):
    protocol = ICMPV6 if ":" in source else ICMP
    body = struct.pack(">BBH", kind, code, 0) + rest + payload
    total = checksum((pseudo(source, target, ICMPV6, len(body)) if protocol == ICMPV6 else b"") + body)
    return ip(source, target, protocol, body[:2] + struct.pack(">H", total) + body[4:])


@dataclass
class Segment:
    """A TCP segment; options are (name, value) as scripts write them."""

    flags: str = "."
    seq: int = 0
    ack: int = 0
    win: int = 0
    up: int = 0
    payload: bytes = b""
    options: list = field(default_factory=list)
    ecn: int = 0
    ports: tuple = (0, 0)

    def option_bytes(self):
        out = b""
        for name, value in self.options:
            if name == "mss":
                out += struct.pack(">BBH", 2, 4, value)
            elif name == "wscale":
                out += struct.pack(">BBB", 3, 3, value)
            elif name == "sackOK":
                out += b"\4\2"
            elif name == "sack":
                out += struct.pack(">BB", 5, 2 + 8 * len(value)) + b"".join(struct.pack(">II", *b) for b in value)
            elif name == "TS":
                out += struct.pack(">BBII", 8, 10, *value)
            elif name == "nop":
                out += b"\1"
            elif name == "eol":
                out += b"\0"
            elif name == "raw":
                out += bytes.fromhex(value)
        return out + b"\0" * (-len(out) % 4)

    def packet(self, source, target, bad=False):
        options = self.option_bytes()
        bits = sum(1 << FLAGS.index(f) for f in self.flags)
        head = struct.pack(
            ">HHIIHHHH", *self.ports, self.seq, self.ack, (20 + len(options)) << 10 | bits, self.win, 0, self.up
        )
        body = head + options + self.payload
        total = checksum(pseudo(source, target, TCP, len(body)) + body) ^ bad
        body = body[:16] + struct.pack(">H", total) + body[18:]
        return ip(source, target, TCP, body, tos=self.ecn)


def read_options(data):
    options, i = [], 0
    while i < len(data) and data[i]:
        if data[i] == 1:
            i += 1
            continue
        kind, size = data[i], data[i + 1]
        value = data[i + 2 : i + size]
        if kind == 2:
            options.append(("mss", int.from_bytes(value, "big")))
        elif kind == 3:
            options.append(("wscale", value[0]))
        elif kind == 4:
            options.append(("sackOK", None))
        elif kind == 5:
            options.append(("sack", [struct.unpack(">II", value[j : j + 8]) for j in range(0, len(value), 8)]))
        elif kind == 8:
            options.append(("TS", struct.unpack(">II", value)))
        i += size
    return options


def read(frame):
    """(protocol, source, target, body, tos, fragment field) of a frame; sums are checked. Raises AssertionError."""
    packet = frame[14:]
    if frame[12:14] == b"\x08\x00":
        total = int.from_bytes(packet[2:4], "big")
        assert packet[0] == 0x45 and total == len(packet), "length of an IPv4 packet"
        assert checksum(packet[:20]) == 0, "sum of an IPv4 header"
        source, target = (socket.inet_ntop(socket.AF_INET, packet[i : i + 4]) for i in (12, 16))
        return packet[9], source, target, packet[20:], packet[1], int.from_bytes(packet[6:8], "big")
    assert frame[12:14] == b"\x86\xdd", "neither IPv4 nor IPv6"
    assert int.from_bytes(packet[4:6], "big") == len(packet) - 40, "length of an IPv6 packet"
    source, target = (socket.inet_ntop(socket.AF_INET6, packet[i : i + 16]) for i in (8, 24))
    return packet[6], source, target, packet[40:], int.from_bytes(packet[:4], "big") >> 20 & 0xFF, 0


def read_segment(frame):
    """The TCP segment in a frame, None where there is another protocol. Raises AssertionError for a wrong sum."""
    protocol, source, target, body, tos, _ = read(frame)
    if protocol != TCP:
        return None
    assert checksum(pseudo(source, target, TCP, len(body)) + body) == 0, "sum of a segment"
    fields = struct.unpack(">HHIIHHHH", body[:20])
    header = fields[4] >> 12 << 2
    flags = "".join(f for i, f in enumerate(FLAGS) if fields[4] >> i & 1)
    options = read_options(body[20:header])
    return Segment(flags, fields[2], fields[3], fields[5], fields[7], body[header:], options, tos & 3, fields[:2])
