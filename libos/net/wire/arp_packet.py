# cython: infer_types=True
"""Packets of the Address Resolution Protocol for IPv4 on Ethernet (RFC 826): 28 octets."""

from libos.net import octets, structs

REQUEST, REPLY, SIZE = 1, 2, 28


def read(p):
    """Whether p.network is a request or a reply for IPv4 on Ethernet."""
    at = p.network
    if p.network_length < 28 or octets.get16(at) != 1 or octets.get16(at + 2) != structs.TYPE_IPV4:
        return False
    kind = octets.get16(at + 6)
    return octets.get16(at + 4) == 0x0604 and (kind == 1 or kind == 2)


def operation(p):
    return octets.get16(p.network + 6)


def sender_mac(p):
    return octets.get48(p.network + 8)


def sender_ip(p):
    return octets.get32(p.network + 14)


def target_ip(p):
    return octets.get32(p.network + 24)


def write(at, operation, sender_mac, sender, target_mac, target):
    """A packet of 28 octets: its length."""
    octets.put32(at, 0x00010000 | structs.TYPE_IPV4)
    octets.put16(at + 4, 0x0604)
    octets.put16(at + 6, operation)
    octets.put48(at + 8, sender_mac)
    octets.put32(at + 14, sender)
    octets.put48(at + 18, target_mac)
    octets.put32(at + 24, target)
    return 28
