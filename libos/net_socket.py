# cython: infer_types=True
"""What a program's UDP socket is on a network of our own: its record in the stack, its names, its options.

The socket stays a kernel UDP socket, with its number and its life. Bound to any address it is on both networks, under
one port; bound to an address of the network, or connected to one, it is on the network alone. Where another process of
the tree has the stack, or shares the socket, its datagrams are letters (libos/letters.py).
"""

import _socket

from libos import ancillary, errand, layout, letters, own_socket, raw, spine
from libos.catnip import unpacked, words
from libos.crossing import LOOPBACK
from libos.net import octets, structs, udp_user
from libos.posts import Post
from libos.refusal import Refusal

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


def open_record(network, sock, user, names=KNOWN):
    """A record of the stack with the options of a socket: its address. Raises Refusal."""
    with network.locked() as gateway:
        record = udp_user.open(gateway.udp, 4 if sock.family == _socket.AF_INET else 6)
        if record:
            take_over(record, sock, names)
            structs.udp(record).user = user
            gateway.catnip.host.changed(record, structs.udp_size())
    network.checked(record if record else -structs.NO_MEMORY)
    return record


def bind_record(network, record, packed, port):
    """Give a record an address, or none, and a port: its name. Raises Refusal."""
    high, low = words(packed) if any(packed) else (0, 0)
    with network.locked() as gateway:
        r = udp_user.bind(gateway.udp, record, high, low, port)
    if r == -structs.IN_USE:  # perhaps by a socket that nobody has any more
        network.sweep_posts()
        with network.locked() as gateway:
            r = udp_user.bind(gateway.udp, record, high, low, port)
    network.checked(r)
    return name_of(record, False)


def connect_record(network, record, packed, port):
    """Connect a record: its own name then. Raises Refusal."""
    with network.locked() as gateway:
        network.checked(udp_user.connect(gateway.udp, record, *words(packed), port))
        return name_of(record, False)


def dissolve_record(network, record, alone):
    """As before it was connected; `alone`: with the address that it is bound to."""
    with network.locked() as gateway:
        udp_user.disconnect(gateway.udp, record)
        if not alone:
            u = structs.udp(record)
            u.local_high = u.local_low = 0
            gateway.catnip.host.changed(record, structs.udp_size())


def group_record(network, record, packed, joins):
    """Hear a group, or no more. Raises Refusal."""
    with network.locked() as gateway:
        call = udp_user.join if joins else udp_user.leave
        network.checked(call(gateway.udp, record, *words(packed)))


def set_options(network, record, sock, names):
    """A socket has these options now."""
    with network.locked() as gateway:
        take_over(record, sock, names)
        gateway.catnip.host.changed(record, structs.udp_size())


def close_record(network, record):
    with network.locked() as gateway:
        udp_user.close(gateway.udp, record)


class NetSocket:
    """`end`: the address of the socket's end record; `port`: of its post, 0 where its datagrams are taken from the
    stack. Raises Refusal.
    """

    known = KNOWN

    def __init__(self, network, sock, end):
        self.network = network
        self.family = sock.family
        self.end = end
        self.alone = False  # bound to an address of the network
        self.connected = False
        self.sends_by = {}  # by option: the interface for groups, as the program has named it
        self.lost = False  # the record is another process's
        self.port = 0
        self.own = self.others = None  # names
        if network.member is None:
            self.record = open_record(network, sock, end)
            raw.store(end + layout.POST, self.record)
            network.sockets.add(self)
        else:
            answer = network.member.ask(errand.POST, family=sock.family, options=errand.told(sock, KNOWN))
            self.record, self.port = answer.handle, answer.number
            letters.here().begin(network.tree.key(), network.shown[2])
            self.address_letters(sock)

    def asked(self, kind, **what):
        return self.network.member.ask(kind, handle=self.record, **what)

    def here(self):
        """Whether this process has the stack."""
        return self.network.gateway is not None

    @property
    def local(self):
        """The name on the network; None where the kernel's is right."""
        return self.own if self.alone or self.connected else None

    @property
    def peer(self):
        return self.others if self.connected else None

    def bind(self, packed, port):
        """Raises Refusal."""
        if self.here():
            self.own = bind_record(self.network, self.record, packed, port)
        else:
            self.own = self.asked(errand.POST_BIND, name=(packed, port)).name

    def bind_any(self, port):
        self.bind(bytes(4), port)

    def connect(self, packed, port):
        """Raises Refusal."""
        if self.here():
            self.own = connect_record(self.network, self.record, packed, port)
        else:
            self.own = self.asked(errand.POST_CONNECT, name=(packed, port)).name
        self.others = packed, port
        self.connected = True

    def dissolve(self):
        if self.here():
            dissolve_record(self.network, self.record, self.alone)
        else:
            self.asked(errand.POST_DISSOLVE, number=self.alone)
        self.connected = False

    def group(self, packed, joins):
        """Hear a group, or no more. Raises Refusal."""
        if self.here():
            group_record(self.network, self.record, packed, joins)
        else:
            self.asked(errand.POST_GROUP, name=(packed, 0), number=joins)

    def settle(self, sock):
        """After the program's socket has come to what it is on the kernel: nobody but its post is to be heard there
        where it is on the network alone. Raises Refusal, OSError.
        """
        if not self.port:
            if self.connected:
                mute(sock)
            return
        if self.connected:
            sock.connect((LOOPBACK[sock.family], self.port))
        where = sock.getsockname()[1]
        if self.here():
            self.network.posts[self.record].reach(where)
        else:
            self.asked(errand.POST_REACH, number=where)

    def share(self):
        """A process is to be forked, which shares the socket: its datagrams are letters from now on. Raises OSError,
        Refusal.
        """
        if self.port:
            return
        sock = own_socket.standing_for(spine.fd_of(self.end))
        try:
            if sock.getsockname()[1] == 0:
                return  # it is on its way
            post = Post(self.network, self.record, self.family)
            self.port = post.port
            self.address_letters(sock)
            self.settle(sock)
            with self.network.locked() as gateway:
                gateway.shared(self.end)
            self.network.sockets.discard(self)
        finally:
            sock.detach()

    def address_letters(self, sock):
        told = sum(SWITCHES[name] for name in TOLD if self.tells(sock, *name))
        raw.store(self.end + layout.POST, letters.word(self.port, 4 if self.family == _socket.AF_INET else 6, told))

    def tells(self, sock, level, name):
        try:
            return sock.getsockopt(level, name) != 0
        except OSError:
            return False  # not of this family

    def options(self, sock, names=KNOWN):
        """The program's socket has these options."""
        if self.port and TOLD.intersection(names):
            self.address_letters(sock)
        if self.here() and not self.lost:
            set_options(self.network, self.record, sock, names)
        elif not self.here():
            try:
                self.asked(errand.POST_OPTIONS, family=self.family, options=errand.told(sock, names))
            except Refusal:
                pass  # the owner has ended: the next call will say so

    def why(self, end, error):
        """What SO_ERROR says where the kernel says `error`; it is told once."""
        if error or self.lost:
            return error
        if self.port:
            return letters.error(spine.fd_of(end))
        with self.network.locked() as gateway:
            return gateway.error(end)

    def released(self):
        """The program has closed its socket, or it is the kernel's alone again."""
        if self.lost:
            return
        if not self.port:
            self.network.sockets.discard(self)
            with self.network.locked() as gateway:
                raw.store(self.end + layout.POST, 0)
                udp_user.close(gateway.udp, self.record)
            return
        last = self.network.catloop.records.alone(self.end)
        if last:
            raw.store(self.end + layout.POST, 0)
        if not self.here():
            self.network.told_release(self.record, last)
        elif last and self.record in self.network.posts:
            self.network.posts[self.record].over()
