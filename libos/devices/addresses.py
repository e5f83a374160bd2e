"""Addresses of a segment's hosts. All follow from the number of the port: none is ever given twice, and each is free
again when its port is.
"""

import ipaddress

from libos.devices import layout
from libos.errors import Fail, Kind


def network(text):
    """An IPv4 network with room for hosts, from "10.77.0.0/16". Raises INVALID."""
    try:
        made = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise Fail(Kind.INVALID, f"not an IPv4 network: {error}")
    if made.prefixlen > 30:
        raise Fail(Kind.INVALID, f"{made} has no room for two hosts")
    return made


def ports(prefix):
    """How many hosts an IPv4 network of that prefix length has room for."""
    return min(layout.PORTS, (1 << (32 - prefix)) - 2)


def mac(identity, port):
    """A locally administered unicast address (IEEE 802, 8.4), 6 bytes; `identity` is the segment's, 40 random bits."""
    return bytes([2, 0x63, 0x66, identity >> 8 & 0xFF, identity & 0xFF, port])


def ipv4(base, port):
    """The address of a port in the network that begins at `base`, as a number; 4 bytes."""
    return (base + port + 1).to_bytes(4, "big")


def ipv6(identity, port):
    """A unique local address (RFC 4193, 3.1), its global ID random, subnet 0; 16 bytes. The prefix has 64 bits."""
    return b"\xfd" + identity.to_bytes(5, "big") + bytes(2) + (port + 1).to_bytes(8, "big")
