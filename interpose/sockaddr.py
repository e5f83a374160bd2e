"""struct sockaddr at an address <-> values (ip(7), ipv6(7)): family, host bytes in network order, port."""

from libos import raw

AF_INET = 2
AF_INET6 = 10


def bytes_at(address, size):
    """A copy of `size` bytes at `address`, as bytes."""
    out = bytearray()
    for offset in range(0, size, 4):
        out += raw.load32(address + offset).to_bytes(4, "little")
    return bytes(out[:size])


def read(address, length):
    """(host, port) of a sockaddr_in or sockaddr_in6 of `length` bytes, or None for anything else."""
    if not address or length < 16:
        return None
    head = raw.load32(address)
    family, port = head & 0xFFFF, int.from_bytes((head >> 16).to_bytes(2, "little"), "big")
    if family == AF_INET:
        return bytes_at(address + 4, 4), port
    if family == AF_INET6 and length >= 24:
        return bytes_at(address + 8, 16), port
    return None
