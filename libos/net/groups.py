# cython: infer_types=True
"""Telling switches and routers of a link which groups are heard here: IGMPv3 (RFC 3376), MLDv2 (RFC 3810).

A report when a group is joined, one when it is left, one for each when somebody asks; at once, and not repeated.
"""

from libos.net import host as hosts
from libos.net import octets, seq, structs
from libos.net.wire import ethernet, icmp_message, ip_header

IGMP_ROUTERS = 0xE0000016  # 224.0.0.22; ff02::16 for IPv6


def report(host, high, low, kind):
    """Say that a group is heard (structs.GROUP_HEARD), that it now is (_JOINED), or no more (_LEFT).

    Of the group of all systems nothing is said (RFC 3376, section 5; RFC 3810, section 6).
    """
    four = hosts.is4(high, low)
    if (four and low & 0xFFFFFFF == 1) or (high == icmp_message.link_scope() and low == 1):
        return
    at = host.out.reserve()
    if at == 0 or not host.source_for(high, low):
        return
    if four:
        report4(host, at, seq.low32(low), kind)
    else:
        report6(host, at, high, low, kind)


def report4(host, at, group, kind):
    """A report of one record, with the router alert in its header (RFC 3376, section 4.2)."""
    ethernet.write(at, ethernet.group(0, ip_header.MAPPED | IGMP_ROUTERS), host.mac, structs.TYPE_IPV4)
    ip = at + 14
    ip_header.write4(ip, 40, 0xC0, 0, 0, 1, structs.PROTOCOL_IGMP, seq.low32(host.from_low), seq.low32(IGMP_ROUTERS))
    octets.put8(ip, 0x46)
    octets.put32(ip + 20, 0x94040000)
    octets.put16(ip + 10, 0)
    octets.put16(ip + 10, octets.sum(ip, 24, 0) ^ 0xFFFF)
    octets.put32(ip + 24, 0x22000000)
    octets.put32(ip + 28, 1)
    octets.put32(ip + 32, kind << 24)
    octets.put32(ip + 36, group)
    octets.put16(ip + 26, octets.sum(ip + 24, 16, 0) ^ 0xFFFF)
    host.out.commit(14 + 40)


def report6(host, at, high, low, kind):
    """The same for IPv6, behind a hop-by-hop header; from nobody, for our addresses are not of the link only (RFC
    3810, section 5.2.13).
    """
    to_high = icmp_message.link_scope()
    to_low = seq.words(0, 0x16)
    ethernet.write(at, ethernet.group(to_high, to_low), host.mac, structs.TYPE_IPV6)
    ip_header.write6(at + 14, 36, 0, 0, 1, structs.HOP_BY_HOP, 0, 0, to_high, to_low)
    octets.put32(at + 54, structs.PROTOCOL_ICMPV6 << 24 | 0x0502)
    octets.put32(at + 58, 0x00000100)
    message = at + 62
    octets.put32(message, 143 << 24)
    octets.put32(message + 4, 1)
    octets.put32(message + 8, kind << 24)
    octets.put64(message + 12, high)
    octets.put64(message + 20, low)
    icmp_message.seal(message, 28, 0, 0, to_high, to_low, structs.PROTOCOL_ICMPV6)
    host.out.commit(62 + 28)
