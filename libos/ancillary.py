# cython: infer_types=True
"""Control messages (cmsg(3)) of a program's datagrams on a network of our own: what is told of one that came, and what
is asked for with one that goes (ip(7), ipv6(7)).

Everything here is called under the gateway's lock.
"""

from libos import calls, raw
from libos.net import host as hosts
from libos.net import octets, seq, structs, udp_user

COMPILED = __file__.endswith(".so")
MSG_CONTROL, MSG_CONTROLLEN = 32, 40  # of a struct msghdr
HEAD = 16  # of a control message: its length, level, type
CTRUNC = 8
EIO, ENODEV = 5, 19
IPV4 = 0xFFFF << 32  # what an IPv4 address is behind
DEFAULT = 0xFFFFFFFF  # -1: as if it had not been said
SOL_IP, SOL_UDP, SOL_IPV6 = 0, 17, 41
IP_TOS, IP_TTL, IP_PKTINFO = 1, 2, 8
IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS = 50, 52, 67
IPV6_FLOWINFO, IPV6_DONTFRAG = 11, 62
# options of a record that the stack knows nothing of: what the program wants to be told
INFO, TTL, TOS, INFO6, HOPS, CLASS = 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21


class Here:
    """`interface`: the index of the network's interface, as the program knows it. The others: of a message that is read
    or written.
    """

    def __init__(self):
        self.interface = 0
        self.at = self.room = 0
        self.cut = 0
        self.source_high = self.source_low = 0  # 0: the socket's own
        self.hops = self.traffic_class = -1  # -1: the socket's own


HERE = Here()


def here():
    return HERE


def wanted(level, name):
    """Which option of a record an option of a socket is, 0 for none of these: IP_PKTINFO, IP_RECVTTL, IP_RECVTOS,
    IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS.
    """
    if level == SOL_IP:
        return INFO if name == IP_PKTINFO else TTL if name == 12 else TOS if name == 13 else 0
    if level == SOL_IPV6:
        return INFO6 if name == 49 else HOPS if name == 51 else CLASS if name == 66 else 0
    return 0


def own(s, d):
    """The address that IP_PKTINFO tells as our own of a datagram that came: of IPv4, else 0."""
    if not hosts.is4(d.source_high, d.source_low):
        return 0
    if not s.host.mine(d.target_high, d.target_low) and s.host.source_for(d.source_high, d.source_low):
        return seq.low32(s.host.from_low)  # it came to a group, or to all
    return seq.low32(d.target_low)


def tell(u, d, own, message, scratch):
    """Write what is to be told of a datagram: MSG_CTRUNC where it had no room, else 0. In the kernel's order."""
    HERE.at = raw.load(message + MSG_CONTROL)
    HERE.room = raw.load(message + MSG_CONTROLLEN) if HERE.at >= 65536 else 0
    HERE.cut = 0
    before = HERE.room
    if u.options & INFO6:
        octets.put64(scratch, d.target_high)
        octets.put64(scratch + 8, d.target_low)
        raw.store32(scratch + 16, HERE.interface)
        put(SOL_IPV6, IPV6_PKTINFO, scratch, 20)
    if hosts.is4(d.source_high, d.source_low):
        if u.options & INFO:
            raw.store32(scratch, HERE.interface)
            octets.put32(scratch + 4, own)
            octets.put32(scratch + 8, seq.low32(d.target_low))
            put(SOL_IP, IP_PKTINFO, scratch, 12)
        raw.store32(scratch, d.hop_limit)
        if u.options & TTL:
            put(SOL_IP, IP_TTL, scratch, 4)
        raw.store32(scratch, d.traffic_class)
        if u.options & TOS:
            put(SOL_IP, IP_TOS, scratch, 1)
    else:
        raw.store32(scratch, d.hop_limit)
        if u.options & HOPS:
            put(SOL_IPV6, IPV6_HOPLIMIT, scratch, 4)
        raw.store32(scratch, d.traffic_class)
        if u.options & CLASS:
            put(SOL_IPV6, IPV6_TCLASS, scratch, 4)
    raw.store(message + MSG_CONTROLLEN, before - HERE.room)
    return HERE.cut


def put(level, kind, data, size):
    """One control message more, or as much of it as has room."""
    if HERE.room < HEAD:
        HERE.cut = CTRUNC
        return
    length = HEAD + size
    space = HEAD + (size + 7 & ~7)
    if length > HERE.room:
        HERE.cut = CTRUNC
        length = HERE.room
    if space > HERE.room:
        space = HERE.room
    raw.store(HERE.at, length)
    raw.store32(HERE.at + 8, level)
    raw.store32(HERE.at + 12, kind)
    octets.copy(HERE.at + HEAD, data, length - HEAD)
    HERE.at += space
    HERE.room -= space


def read(s, u, message, ipv4):
    """Find out what a message to be sent asks for: 0 or -errno. `ipv4`: it goes to such an address."""
    HERE.source_high = HERE.source_low = 0
    HERE.hops = HERE.traffic_class = -1
    at = raw.load(message + MSG_CONTROL)
    end = at + raw.load(message + MSG_CONTROLLEN)
    if at < 65536:
        return -calls.EFAULT
    while at + HEAD <= end:
        length = raw.load(at)
        if length < HEAD or length > end - at:
            return -calls.EINVAL
        level = raw.load32(at + 8)
        kind = raw.load32(at + 12)
        r = 0
        if level == SOL_UDP:
            r = -EIO  # UDP_SEGMENT, as where no device cuts it into segments (udp(7))
        elif level == SOL_IPV6 and (not ipv4 or (u.family == 6 and kind == IPV6_PKTINFO)):
            r = read6(s, kind, at + HEAD, length - HEAD, ipv4)
        elif level == SOL_IP and ipv4:
            r = read4(s, kind, at + HEAD, length - HEAD)
        if r < 0:
            return r
        at += length + 7 & ~7
    return 0


def read4(s, kind, at, size):
    if kind == IP_PKTINFO and size == 12:
        source = octets.get32(at + 4)
        return speak_from(s, raw.load32(at), 0, IPV4 | source if source else 0)
    value = raw.load32(at) if size == 4 else octets.get8(at) if size == 1 and kind == IP_TOS else 256
    if kind == IP_TTL and 0 < value < 256:
        HERE.hops = value
    elif kind == IP_TOS and value < 256:
        HERE.traffic_class = value
    else:
        return -calls.EINVAL
    return 0


def read6(s, kind, at, size, ipv4):
    if kind == IPV6_PKTINFO and size >= 20:
        high = octets.get64(at)
        low = octets.get64(at + 8)
        if ipv4 and not hosts.is4(high, low):
            return -calls.EINVAL
        return speak_from(s, raw.load32(at + 16), high, low)
    if (kind == IPV6_FLOWINFO and size >= 4) or (kind == IPV6_DONTFRAG and size == 4):
        return 0
    value = raw.load32(at) if size == 4 else 256
    if value > 255 and value != DEFAULT:
        return -calls.EINVAL
    if kind == IPV6_HOPLIMIT and value < 256:
        HERE.hops = value
    elif kind == IPV6_TCLASS and value < 256:
        HERE.traffic_class = value
    elif kind != IPV6_HOPLIMIT and kind != IPV6_TCLASS:
        return -calls.EINVAL
    return 0


def speak_from(s, interface, high, low):
    """By an interface, 0 for any, from one of its addresses, 0 for the socket's. Which are its is for who has the stack
    to say.
    """
    if interface and interface != HERE.interface:
        return -ENODEV
    if (high or low) and s is not None and not s.host.mine(high, low):
        return -calls.ENETUNREACH if hosts.is4(high, low) else -calls.EINVAL
    HERE.source_high = high
    HERE.source_low = low
    return 0


def send(s, at, address, length, high, low, port):
    """Send a datagram as was read: for that long, the socket's record is another."""
    u = structs.udp(at)
    own_high, own_low = u.local_high, u.local_low
    hops, group_hops, traffic_class = u.time_to_live, u.multicast_ttl, u.traffic_class
    if HERE.source_high or HERE.source_low:
        u.local_high = HERE.source_high
        u.local_low = HERE.source_low
    if HERE.hops >= 0:
        u.time_to_live = u.multicast_ttl = seq.number(HERE.hops)
    if HERE.traffic_class >= 0:
        u.traffic_class = seq.number(HERE.traffic_class)
    s.host.changed(at, structs.udp_size())
    r = udp_user.send(s, at, address, length, high, low, port)
    u.local_high, u.local_low = own_high, own_low
    u.time_to_live, u.multicast_ttl, u.traffic_class = hops, group_hops, traffic_class
    s.host.changed(at, structs.udp_size())
    return r
