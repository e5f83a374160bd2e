# cython: infer_types=True
"""What a program's UDP socket is on a network of our own: its record in the stack, its names, its options.

The socket stays a kernel UDP socket, with its number and its life. Bound to any address it is on both networks, under
one port; bound to an address of the network, or connected to one, it is on the network alone.
"""

import _socket

from libos import ancillary, layout, raw
from libos.catnip import unpacked, words
from libos.crossing import LOOPBACK
from libos.net import octets, structs, udp_user

COMPILED = __file__.endswith(".so")
if not COMPILED:
    octets.copy  # noqa: B018 - now: later, what it is made of may be out of reach
DISCARD = 9  # any port: only to have one of our own chosen
IPPROTO_IPV6, IPV6_V6ONLY = 41, 26
SWITCHES = {
    (_socket.SOL_SOCKET, _socket.SO_REUSEADDR): structs.REUSE_ADDRESS,
    (_socket.SOL_SOCKET, _socket.SO_REUSEPORT): structs.REUSE_PORT,
    (_socket.SOL_SOCKET, _socket.SO_BROADCAST): structs.BROADCAST,
    (IPPROTO_IPV6, IPV6_V6ONLY): structs.V6_ONLY,
}
IP_TOS, IP_TTL, IP_MULTICAST_TTL, IP_MULTICAST_LOOP = 1, 2, 33, 34
IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_TCLASS = 16, 18, 19, 67
NUMBERS = {
    (_socket.SOL_SOCKET, _socket.SO_RCVBUF): "limit",
    (_socket.IPPROTO_IP, IP_TTL): "time_to_live",
    (_socket.IPPROTO_IP, IP_TOS): "traffic_class",
    (_socket.IPPROTO_IP, IP_MULTICAST_TTL): "multicast_ttl",
    (_socket.IPPROTO_IP, IP_MULTICAST_LOOP): "loop",
    (IPPROTO_IPV6, IPV6_UNICAST_HOPS): "time_to_live",
    (IPPROTO_IPV6, IPV6_TCLASS): "traffic_class",
    (IPPROTO_IPV6, IPV6_MULTICAST_HOPS): "multicast_ttl",
    (IPPROTO_IPV6, IPV6_MULTICAST_LOOP): "loop",
}
IP_PKTINFO, IP_RECVTTL, IP_RECVTOS = 8, 12, 13
IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS = 49, 51, 66
TOLD = frozenset(
    [(_socket.IPPROTO_IP, name) for name in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS)]
    + [(IPPROTO_IPV6, name) for name in (IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS)]
)
SWITCHES.update((name, ancillary.wanted(*name)) for name in TOLD)
KNOWN = frozenset((*SWITCHES, *NUMBERS))


def set_number(u, name, value):
    if name == "limit":
        u.limit = min(value, layout.BIG)
    elif name == "time_to_live":
        u.time_to_live = value
    elif name == "traffic_class":
        u.traffic_class = value
    elif name == "multicast_ttl":
        u.multicast_ttl = value
    elif value:
        u.options &= ~structs.NO_LOOP
    else:
        u.options |= structs.NO_LOOP


def take_over(record, sock, names=KNOWN):
    """Give a record what a kernel socket has set, of the options `names`."""
    u = structs.udp(record)
    own = (IPPROTO_IPV6, _socket.SOL_SOCKET) if sock.family == _socket.AF_INET6 else (0, _socket.SOL_SOCKET)
    for level, name in names:
        if level not in own and (level, name) not in TOLD:  # those are for a socket of IPv6 that hears IPv4, too
            continue
        try:
            value = sock.getsockopt(level, name)
        except OSError:
            continue
        if (level, name) in NUMBERS:
            set_number(u, NUMBERS[level, name], value)
        elif value:
            u.options |= SWITCHES[level, name]
        else:
            u.options &= ~SWITCHES[level, name]


def name_of(record, peer):
    """(packed address, port) of a record's own name, or its peer's."""
    u = structs.udp(record)
    if peer:
        return unpacked(u.remote_high, u.remote_low), u.remote_port
    return unpacked(u.local_high, u.local_low), u.local_port


def mute(sock):
    """Connect a kernel socket to itself: nobody else can send it anything. One that has no port gets one for as long
    as it is connected.
    """
    try:
        if sock.getsockname()[1] == 0:
            sock.connect((LOOPBACK[sock.family], DISCARD))
        sock.connect((LOOPBACK[sock.family], sock.getsockname()[1]))
    except OSError:
        pass  # no loopback of that family, so that nobody can send there either


class NetSocket:
    """`end`: the address of the socket's end record. Raises Refusal."""

    known = KNOWN

    def __init__(self, network, sock, end):
        self.network = network
        self.family = sock.family
        self.end = end
        self.alone = False  # bound to an address of the network
        self.connected = False
        self.sends_by = {}  # by option: the interface for groups, as the program has named it
        self.lost = False  # the record is another process's
        with network.locked() as gateway:
            self.record = udp_user.open(gateway.udp, 4 if sock.family == _socket.AF_INET else 6)
            if self.record:
                take_over(self.record, sock)
                structs.udp(self.record).user = end
                self.changed(gateway)
                raw.store(end + layout.POST, self.record)
        network.checked(0 if self.record else -structs.NO_MEMORY)
        network.sockets.add(self)

    def changed(self, gateway):
        """For who records what the stack does."""
        gateway.catnip.host.changed(self.record, structs.udp_size())

    @property
    def local(self):
        """The name on the network; None where the kernel's is right."""
        return name_of(self.record, False) if self.alone or self.connected else None

    @property
    def peer(self):
        return name_of(self.record, True) if self.connected else None

    def bind(self, packed, port):
        """Raises Refusal."""
        with self.network.locked() as gateway:
            self.network.checked(udp_user.bind(gateway.udp, self.record, *words(packed), port))

    def bind_any(self, port):
        with self.network.locked() as gateway:
            self.network.checked(udp_user.bind(gateway.udp, self.record, 0, 0, port))

    def connect(self, packed, port):
        """Raises Refusal."""
        with self.network.locked() as gateway:
            self.network.checked(udp_user.connect(gateway.udp, self.record, *words(packed), port))
        self.connected = True

    def dissolve(self):
        with self.network.locked() as gateway:
            udp_user.disconnect(gateway.udp, self.record)
            if not self.alone:
                u = structs.udp(self.record)
                u.local_high = u.local_low = 0
                self.changed(gateway)
        self.connected = False

    def group(self, packed, joins):
        """Hear a group, or no more. Raises Refusal."""
        with self.network.locked() as gateway:
            if joins:
                r = udp_user.join(gateway.udp, self.record, *words(packed))
            else:
                r = udp_user.leave(gateway.udp, self.record, *words(packed))
            self.network.checked(r)

    def options(self, sock, names=KNOWN):
        """The program's socket has these options."""
        if not self.lost:
            with self.network.locked() as gateway:
                take_over(self.record, sock, names)
                self.changed(gateway)

    def why(self, end, error):
        """What SO_ERROR says where the kernel says `error`; it is told once."""
        if error or self.lost:
            return error
        with self.network.locked() as gateway:
            return gateway.error(end)

    def released(self):
        """The program has closed its socket, or it is the kernel's alone again."""
        if self.lost:
            return
        self.network.sockets.discard(self)
        with self.network.locked() as gateway:
            raw.store(self.end + layout.POST, 0)
            udp_user.close(gateway.udp, self.record)
