"""The network's interface as a program finds it behind the kernel's: getifaddrs(3), and ioctls of netdevice(7).

Asked is only what the kernel has had no answer to (csrc/trap_interfaces.c). All of it is set-up: with the GIL.
"""

import _socket

from interpose import description, sockaddr
from libos import raw
from libos.memory_file import private

NAME = b"catnip0".ljust(16, b"\0")
LEAST = 1 << 16  # the kernel's, which come and go, stay below our index
FLAGS = 0x1043  # IFF_UP, IFF_BROADCAST, IFF_RUNNING, IFF_MULTICAST
ETHER = 1  # ARPHRD_ETHER
AF_PACKET, AF_INET, AF_INET6 = 17, 2, 10
ENODEV, EADDRNOTAVAIL = 19, 99

ENTRIES = 0  # the request of getifaddrs(3)
SIOCGIFNAME, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFBRDADDR = 0x8910, 0x8912, 0x8913, 0x8915, 0x8919
SIOCGIFNETMASK, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFHWADDR = 0x891B, 0x891D, 0x8921, 0x8927
SIOCGIFINDEX, SIOCGIFTXQLEN = 0x8933, 0x8942

# struct ifreq: the name, then what is asked for; struct ifconf: bytes, and where
REQUEST, VALUE = 40, 16
BUFFER = 8
# struct ifaddrs, and the memory of all entries: the name, what the link has counted (struct rtnl_link_stats), then the
# entries themselves, each with its addresses
NEXT, LABEL, IFA_FLAGS, ADDRESS, NETMASK, BROADCAST, DATA = 0, 8, 16, 24, 32, 40, 48
COUNTED, FIRST, ENTRY, PART = 16, 320, 192, 32
MEMORY = 4096


class Interface:
    """What is remembered of it. `index` is the process's for good; `place`: where the entries are, for all lists."""

    def __init__(self):
        self.index = 0
        self.place = 0

    def number(self):
        """Its index: above all of the kernel's."""
        if not self.index:
            self.index = max(LEAST, *(index + 1 for index, _ in _socket.if_nameindex()))
        return self.index


HERE = Interface()


def asked(request, at, room):
    """ioctl(2) `request` with the structure at `at`: 0 or -errno, ENODEV where it is not meant. `room`: what the
    program's buffer of SIOCGIFCONF has.
    """
    if request == SIOCGIFNAME:
        meant = raw.load32(at + VALUE) == HERE.number()
    else:
        meant = request in (ENTRIES, SIOCGIFCONF) or request in ANSWERS and named(at)
    shown = description.process().network.interface() if meant else None
    if shown is None:
        return -ENODEV
    if request == ENTRIES:
        raw.store(at, entries(*shown))
    elif request == SIOCGIFCONF:
        configured(at, room, shown[2])
    elif request == SIOCGIFNAME:
        sockaddr.put(at, NAME)
    else:
        value = ANSWERS[request](*shown)
        if value is None:
            return -EADDRNOTAVAIL
        sockaddr.put(at + VALUE, value)
    return 0


def named(at):
    """Whether a struct ifreq names it, as the kernel reads names."""
    name = sockaddr.bytes_at(at, VALUE)
    return name[: name.find(b"\0") + 1] == NAME[: NAME.find(b"\0") + 1]


def int32(value):
    return value.to_bytes(4, "little")


def inet(packed):
    return sockaddr.text(AF_INET if len(packed) == 4 else AF_INET6, (packed, 0))


def mask(packed, prefix):
    bits = 8 * len(packed)
    return ((1 << bits) - (1 << bits - prefix)).to_bytes(len(packed), "big")


def broadcast(packed, prefix):
    """Of an IPv4 address; None where the link has room for two hosts at most (RFC 3021)."""
    if prefix > 30:
        return None
    return bytes(one | 255 - other for one, other in zip(packed, mask(packed, prefix), strict=True))


def first(addresses):
    """The IPv4 address that stands for the interface, and its prefix length; None where there is none."""
    return next((pair for pair in addresses if len(pair[0]) == 4), None)


def address_of(mac, mtu, addresses):
    pair = first(addresses)
    return pair and inet(pair[0])


def netmask_of(mac, mtu, addresses):
    pair = first(addresses)
    return pair and inet(mask(*pair))


def broadcast_of(mac, mtu, addresses):
    pair = first(addresses)
    return pair and inet(broadcast(*pair) or bytes(4))


def hardware_of(mac, mtu, addresses):
    return ETHER.to_bytes(2, "little") + mac


ANSWERS = {
    SIOCGIFFLAGS: lambda mac, mtu, addresses: FLAGS.to_bytes(2, "little"),
    SIOCGIFADDR: address_of,
    SIOCGIFNETMASK: netmask_of,
    SIOCGIFBRDADDR: broadcast_of,
    SIOCGIFHWADDR: hardware_of,
    SIOCGIFMTU: lambda mac, mtu, addresses: int32(mtu),
    SIOCGIFINDEX: lambda mac, mtu, addresses: int32(HERE.number()),
    SIOCGIFMETRIC: lambda mac, mtu, addresses: int32(0),
    SIOCGIFTXQLEN: lambda mac, mtu, addresses: int32(0),
}


def configured(at, room, addresses):
    """SIOCGIFCONF: an entry for each IPv4 address behind those that the kernel has written, while there is room; or,
    where the program only asks how much that would be, no more than the count.
    """
    used, buffer = raw.load32(at), raw.load(at + BUFFER)
    for packed, _ in addresses:
        if len(packed) == 4 and (not buffer or used + REQUEST <= room):
            if buffer:
                sockaddr.put(buffer + used, NAME + inet(packed) + bytes(REQUEST - 32))
            used += REQUEST
    raw.store32(at, used)


def entries(mac, mtu, addresses):
    """The address of the first entry for getifaddrs(3): the link, then each address.

    All lists end in the same entries, written anew with what is there already: who reads them meanwhile sees no change.
    """
    if not HERE.place:
        HERE.place = private(MEMORY)
        sockaddr.put(HERE.place, NAME)
    link = AF_PACKET.to_bytes(2, "little") + bytes(2) + int32(HERE.number()) + ETHER.to_bytes(2, "little") + b"\0\6"
    entry(0, len(addresses), link + mac + bytes(2), None, link + b"\xff" * 6 + bytes(2), HERE.place + COUNTED)
    for n, (packed, prefix) in enumerate(addresses, 1):
        address = inet(packed)
        if packed[:1] == b"\xfe" and len(packed) == 16 and packed[1] & 0xC0 == 0x80:  # of the link (RFC 4007)
            address = address[:24] + int32(HERE.number())
        to_all = broadcast(packed, prefix) if len(packed) == 4 else None
        entry(n, len(addresses), address, inet(mask(packed, prefix)), to_all and inet(to_all), 0)
    return HERE.place + FIRST


def entry(n, last, address, netmask, to_all, data):
    """Write the entry `n`, with struct sockaddrs as bytes or None."""
    at = HERE.place + FIRST + n * ENTRY
    raw.store(at + NEXT, at + ENTRY if n < last else 0)
    raw.store(at + LABEL, HERE.place)
    raw.store32(at + IFA_FLAGS, FLAGS)
    raw.store(at + DATA, data)
    part = at + ENTRY - 3 * PART
    for field, value in ((ADDRESS, address), (NETMASK, netmask), (BROADCAST, to_all)):
        if value is not None:
            sockaddr.put(part, value)
        raw.store(at + field, 0 if value is None else part)
        part += PART
