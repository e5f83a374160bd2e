"""struct sockaddr at an address <-> values (ip(7), ipv6(7)): family, host bytes in network order, port."""

from libos import raw

AF_INET = 2
AF_INET6 = 10
MAPPED = bytes(10) + b"\xff\xff"


def bytes_at(address, size):
    """A copy of `size` bytes at `address`, as bytes."""
    out = bytearray()
    for offset in range(0, size, 4):
        out += raw.load32(address + offset).to_bytes(4, "little")
    return bytes(out[:size])


def put(address, data):
    """Write bytes to `address`."""
    for offset in range(0, len(data), 4):
        part = data[offset : offset + 4]
        if len(part) < 4:
            part += bytes_at(address + offset, 4)[len(part) :]
        raw.store32(address + offset, int.from_bytes(part, "little"))


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


def unmapped(packed):
    """An IPv4 address out of the IPv6 one that stands for it (RFC 4291, section 2.5.5.2); others as they are."""
    return packed[12:] if len(packed) == 16 and packed.startswith(MAPPED) else packed


def text(family, name):
    """The bytes of a sockaddr of (packed address, port)."""
    packed, port = name
    if family == AF_INET6 and len(packed) == 4:
        packed = MAPPED + packed
    flow = bytes(4) if family == AF_INET6 else b""
    whole = family.to_bytes(2, "little") + port.to_bytes(2, "big") + flow + packed
    return whole.ljust(28 if family == AF_INET6 else 16, b"\0")


def write(family, name, address, room):
    """Write (packed address, port) to `address` as sockaddr of a family, cut off at `room` bytes: its whole size."""
    whole = text(family, name)
    put(address, whole[: room & ~3])
    return len(whole)
