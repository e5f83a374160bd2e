"""UDP sockets of the program on a network of our own (libos/net_socket.py): what bind, connect, groups and a first send
mean for them. All of it is set-up: with the GIL.
"""

from interpose import description, interfaces, sockaddr
from interpose.abroad import ANY, NOT_OURS, Standing, where
from interpose.net_datagram import NetDatagram
from libos import ancillary, calls, layout, letters, raw
from libos.catnip import eight
from libos.crossing import LOOPBACK
from libos.net_socket import NetSocket
from libos.network import Refusal

ENETDOWN = 100
IP_MULTICAST_IF, IPV6_MULTICAST_IF = SENT_BY = (0, 32), (41, 17)
IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP = 35, 36, 20, 21
MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP = MCAST = 42, 45
JOINS = (IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP, MCAST_JOIN_GROUP)
GROUPS = {  # and the least size of what is said with it
    (0, IP_ADD_MEMBERSHIP): 8,
    (0, IP_DROP_MEMBERSHIP): 8,
    (41, IPV6_JOIN_GROUP): 20,
    (41, IPV6_LEAVE_GROUP): 20,
    **{(level, name): 136 for level in (0, 41) for name in MCAST},
}
UDP_SEGMENT = (17, 103)


def adopted(fd, nonblock):
    """The description of a new UDP socket, None when there is no room for one. Its record can be waited for from its
    first moment on, since nobody can be called back from a wait in the kernel once the socket is on the network.
    """
    process = description.process()
    queue = process.libos.over(fd)
    if queue is None:
        return None
    family, end = process.libos.family, queue.end
    family.start_bells()
    process.bells = family.page
    pair, slot = family.pair_with(b"datagrams")
    family.hear(end, family.key, family.page_fd)
    pair.attach(end, slot)
    raw.store(raw.load(end + layout.OUT) + layout.H_GONE, 1)  # nobody is at the other side
    raw.store(end + layout.IN_STATE, layout.MESSAGES)
    raw.store(end + layout.MEETING, 1)
    return NetDatagram(queue, fd, nonblock)


def enter(d, sock):
    """What the socket is on the network; it has to be given a port there yet."""
    network = description.process().network
    if d.queue.crossing is None:
        d.queue.crossing = NetSocket(network, sock, d.queue.end)
        d.gateway = network.gateway
        ancillary.here().interface = interfaces.HERE.number()
    return d.queue.crossing


def leave(d):
    """It is the kernel's alone again."""
    crossing, d.queue.crossing = d.queue.crossing, None
    d.abroad = d.away = d.connected = False
    crossing.released()


def answered(call, d, *arguments):
    """What `call` returns, or -errno."""
    try:
        return call(d, *arguments)
    except Refusal as refusal:
        return -refusal.errno
    except OSError as error:
        return -(error.errno or ENETDOWN)


def bind(d, address, length):
    """bind(2) to any address, or one of the network's; NOT_OURS for any other."""
    name = where(address, length)
    if name is None:
        return NOT_OURS
    return answered(bind_any if name[0] in ANY else bind_own, d, name, address, length)


def bind_any(d, name, address, length):
    if d.abroad or not description.process().network.there():
        return NOT_OURS
    r = raw.syscall(calls.SYS_bind, d.queue.fd, address, length, 0, 0, 0)
    if r == 0:
        with Standing(d) as sock:
            enter_any(d, sock)
    return r


def enter_any(d, sock):
    """On both networks, under the kernel's port. Raises Refusal."""
    crossing = enter(d, sock)
    try:
        crossing.bind_any(sock.getsockname()[1])
        crossing.settle(sock)
    except (Refusal, OSError):
        leave(d)
        raise
    d.abroad = True


def bind_own(d, name, address, length):
    if not description.process().network.owns(name[0]):
        return NOT_OURS
    if d.abroad:
        return -calls.EINVAL
    with Standing(d) as sock:
        crossing = enter(d, sock)
        try:
            crossing.bind(*name)
            sock.bind((LOOPBACK[sock.family], 0))
            crossing.settle(sock)
        except (Refusal, OSError):
            leave(d)
            raise
    crossing.alone = d.away = d.abroad = True
    return 0


def attend(d):
    """Before a datagram goes to an address that may be the network's: the socket comes to be on it, or the address is
    found to be the kernel's.
    """
    name = sockaddr.unmapped(eight(d.to_high) + eight(d.to_low)), d.to_port
    d.asked = d.refused = True  # whatever goes wrong here, it is not asked again and again
    d.refused = answered(join_at, d, name) != 0


def join_at(d, name):
    process = description.process()
    if not process.network.reaches(name[0]) or (process.ruled and process.choose(*name) != "catnip"):
        return NOT_OURS
    if d.abroad:
        return 0
    with Standing(d) as sock:
        own = sock.getsockname()[:2]
        if own[1] == 0:
            sock.bind(("", 0))
        elif own[0] not in ("0.0.0.0", "::"):
            return NOT_OURS
        enter_any(d, sock)
    return 0


def connect(d, address, length):
    """connect(2) to an address of the network, or away from one: 0, -errno, or NOT_OURS."""
    name = where(address, length)
    d.asked = False
    if name is None and length >= 2 and address >= 65536 and raw.load32(address) & 0xFFFF == 0:
        return answered(dissolve, d, address, length)
    return NOT_OURS if name is None else answered(connect_to, d, name)


def connect_to(d, name):
    process, crossing = description.process(), d.queue.crossing
    ours = process.network.reaches(name[0])
    if process.ruled and process.choose(*name) != "catnip":
        ours = False
    if not ours and not d.abroad:
        return NOT_OURS
    with Standing(d) as sock:
        if not ours:
            if crossing.alone:
                return -calls.ENETUNREACH
            leave(d)
            return NOT_OURS
        own = sock.getsockname()[:2]
        if not d.abroad:
            if own[1] and own[0] not in ("0.0.0.0", "::"):
                return NOT_OURS
            crossing = enter(d, sock)
        try:
            crossing.connect(*name)
        except Refusal:
            if not crossing.alone and not own[1]:
                leave(d)
            raise
        crossing.settle(sock)
    d.connected = d.away = d.abroad = True
    return 0


def dissolve(d, address, length):
    """connect(2) with AF_UNSPEC."""
    crossing = d.queue.crossing
    r = raw.syscall(calls.SYS_connect, d.queue.fd, address, length, 0, 0, 0)
    if r:
        return r
    with Standing(d) as sock:
        own = sock.getsockname()[:2]
        if crossing is not None and crossing.connected:
            d.connected = False
            d.away = crossing.alone
            if crossing.alone or own[1]:
                crossing.dissolve()
                crossing.settle(sock)
            else:
                leave(d)
        elif d.abroad or not own[1] or own[0] not in ("0.0.0.0", "::"):
            pass
        elif description.process().network.there():
            enter_any(d, sock)
    return 0


def option(d, level, name, value, length):
    """setsockopt(2) about groups that are heard of by the network: 0, -errno, or NOT_OURS."""
    which = (level, name)
    if which in SENT_BY or which in GROUPS:
        return answered(group, d, which, value, length)
    return -calls.ENOPROTOOPT if which == UDP_SEGMENT and d.abroad else NOT_OURS


def group(d, which, value, length):
    """Where no interface is named, the group is the kernel's too."""
    network = description.process().network
    if which in SENT_BY:
        return send_by(d, which, value, length)
    if length < GROUPS[which] or value < 65536 or not network.there():
        return NOT_OURS
    index, interface = 0, bytes(4)
    if which[1] in MCAST:  # struct group_req
        index, name = raw.load32(value), sockaddr.read(value + 8, 28)
        if name is None:
            return NOT_OURS
        packed = name[0]
    elif which[0]:  # struct ipv6_mreq
        index, packed = raw.load32(value + 16), sockaddr.bytes_at(value, 16)
    else:  # struct ip_mreq, ip_mreqn
        index, packed = raw.load32(value + 8) if length >= 12 else 0, sockaddr.bytes_at(value, 4)
        interface = sockaddr.bytes_at(value + 4, 4)
    everywhere = not index and not any(interface)
    ours = index == interfaces.HERE.number() if index else network.owns(interface)
    if not everywhere and not ours:
        return NOT_OURS
    if everywhere:
        raw.syscall(calls.SYS_setsockopt, d.queue.fd, which[0], which[1], value, length, 0)
    with Standing(d) as sock:
        enter(d, sock).group(sockaddr.unmapped(packed), which[1] in JOINS)
    return 0


def send_by(d, which, value, length):
    """The interface for groups that are sent to. Routes say which are the network's; remembered is what getsockopt(2)
    answers.
    """
    network = description.process().network
    if length < 4 or value < 65536 or not network.there():
        return NOT_OURS
    if which == IPV6_MULTICAST_IF:
        index, name = raw.load32(value), sockaddr.bytes_at(value, 4)
    elif length < 8:  # struct in_addr
        index, name = 0, sockaddr.bytes_at(value, 4)
    else:  # struct ip_mreq, ip_mreqn
        index, name = raw.load32(value + 8) if length >= 12 else 0, sockaddr.bytes_at(value + 4, 4)
    ours = index == interfaces.HERE.number() if index else which == IP_MULTICAST_IF and network.owns(name)
    if ours:
        with Standing(d) as sock:
            enter(d, sock).sends_by[which] = name
    elif d.queue.crossing is not None:
        d.queue.crossing.sends_by.pop(which, None)
    return 0 if ours else NOT_OURS


def told(d, level, name, value, length):
    """After getsockopt(2) on the kernel, which knows no interface of ours."""
    crossing = d.queue.crossing
    said = crossing.sends_by.get((level, name)) if crossing is not None else None
    if said is not None:
        sockaddr.put(value, said[: raw.load32(length)])


def pending(d):
    """Octets of the next datagram beside what the kernel counts (FIONREAD)."""
    by_letter = d.abroad and letters.is_letters(raw.load(d.end + layout.POST))
    return -letters.before(d.queue.fd) if by_letter else d.queue.beside(False)
