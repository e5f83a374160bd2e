"""What a frame is, in one line: enough to follow a conversation by eye. Whatever the bytes are, there is an answer."""

import ipaddress
import struct

ARP, IPV4, VLAN, IPV6 = 0x0806, 0x0800, 0x8100, 0x86DD
FLAGS = "FSRPAUEC"  # from the lowest bit (RFC 9293, 3.1; RFC 3168, 6.1)
ICMPV4 = {0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded"}
ICMPV6 = {1: "unreachable", 2: "packet too big", 3: "time exceeded", 128: "echo request", 129: "echo reply",
          133: "router solicitation", 134: "router advertisement", 135: "neighbor solicitation",
          136: "neighbor advertisement"}  # fmt: skip


def describe(frame):
    """For example "02:00:00:00:00:01 > 02:00:00:00:00:02 IPv4 10.0.0.1 > 10.0.0.2 TCP 80 > 4000 [SA] seq 1 ack 2 win
    512 len 0", in one line.
    """
    if len(frame) < 14:
        return f"{len(frame)} bytes, no Ethernet frame"
    target, source, kind = frame[:6].hex(":"), frame[6:12].hex(":"), int.from_bytes(frame[12:14], "big")
    packet = frame[14:]
    try:
        text = KINDS.get(kind, lambda packet: f"type {kind:#06x} len {len(packet)}")(packet)
    except (struct.error, IndexError, ValueError):
        text = f"{NAMES.get(kind, f'type {kind:#06x}')}, cut off, len {len(packet)}"
    return f"{source} > {target} {text}"


def vlan(packet):
    tag, kind = struct.unpack_from(">HH", packet)
    return f"VLAN {tag & 0xFFF} " + KINDS.get(kind, lambda rest: f"type {kind:#06x}")(packet[4:])


def arp(packet):
    operation = struct.unpack_from(">6xH", packet)[0]
    mac, source, target = (
        packet[8:14].hex(":"),
        ipaddress.IPv4Address(packet[14:18]),
        ipaddress.IPv4Address(packet[24:28]),
    )
    if operation == 1:
        return f"ARP who has {target}, tell {source}"
    return f"ARP {source} is at {mac}" if operation == 2 else f"ARP operation {operation}"


def ipv4(packet):
    size, fragment, protocol = struct.unpack_from(">2xH2xHxB", packet)
    header = (packet[0] & 15) * 4
    between = f"IPv4 {ipaddress.IPv4Address(packet[12:16])} > {ipaddress.IPv4Address(packet[16:20])}"
    body = packet[header : max(size, header)]
    if fragment & 0x1FFF:
        return f"{between} fragment at {(fragment & 0x1FFF) * 8} len {len(body)}"
    more = " more fragments" if fragment & 0x2000 else ""
    return f"{between}{more} {transport(protocol, body)}"


def ipv6(packet):
    size, protocol = struct.unpack_from(">4xHB", packet)
    between = f"IPv6 {ipaddress.IPv6Address(packet[8:24])} > {ipaddress.IPv6Address(packet[24:40])}"
    return f"{between} {transport(protocol, packet[40 : 40 + size])}"


def transport(protocol, body):
    if protocol == 6:
        source, target, seq, ack, offset, flags, window = struct.unpack_from(">HHIIBBH", body)
        names = "".join(name for i, name in enumerate(FLAGS) if flags >> i & 1)
        left = len(body) - (offset >> 4) * 4
        return f"TCP {source} > {target} [{names}] seq {seq} ack {ack} win {window} len {left}"
    if protocol == 17:
        source, target, size = struct.unpack_from(">HHH", body)
        return f"UDP {source} > {target} len {size - 8}"
    if protocol in (1, 58):
        names = ICMPV4 if protocol == 1 else ICMPV6
        return f"ICMP {names.get(body[0], f'type {body[0]}')} code {body[1]} len {len(body)}"
    return f"protocol {protocol} len {len(body)}"


KINDS = {ARP: arp, IPV4: ipv4, IPV6: ipv6, VLAN: vlan}
NAMES = {ARP: "ARP", IPV4: "IPv4", IPV6: "IPv6", VLAN: "VLAN"}
