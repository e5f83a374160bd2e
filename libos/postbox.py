# cython: infer_types=True
"""The datagrams of a program's UDP socket on a network of our own: from the stack's queue into the program's memory.

They stay in the queue of the stack's record until they are read. The record of the socket's end, by which readiness is
found, says what waits there: the octets that are queued lie between HEAD and the inward tail as if they were in a
ring, POSITION is the length of the first datagram, FAULT the error that is to be told.

Everything here is called under the gateway's lock, but for what reads a sockaddr.
"""

from libos import ancillary, calls, layout, raw, relay, rings
from libos.net import host as hosts
from libos.net import octets, seq, structs, udp_user

COMPILED = __file__.endswith(".so")
LONGEST = 65535  # no datagram has more octets
LINK_LOCAL = 0xFE80 >> 6  # the first ten bits
IPV4 = 0xFFFF << 32  # what an IPv4 address is behind (RFC 4291, section 2.5.5.2)
MSG_NAMELEN, MSG_IOV, MSG_IOVLEN, MSG_CONTROLLEN, MSG_FLAGS = 8, 16, 24, 40, 48  # of a struct msghdr


def heard(at):
    """The stack has something for a socket: its end says so, and whoever waits for it is woken."""
    end = structs.udp(at).user
    if end and noted(structs.udp(at), end):
        header = raw.load(end + layout.IN)
        raw.fence()
        if raw.load(header + layout.H_WATCHED):
            rings.mark_dirty(end, raw.load(end + layout.DIRTY) ^ layout.SIDE)
        bell = raw.load(header + layout.H_BELL)
        if 0 < bell < 64:
            rings.ring_own(end, bell)


def noted(u, end):
    """Bring the end's record up to date; whether there is more than before."""
    header = raw.load(end + layout.IN)
    fault = relay.errno_of(u.error) if u.error else 0
    fresh = fault != 0 and raw.load32(end + layout.FAULT) == 0
    tail = raw.load(end + layout.HEAD) + u.queued + fresh
    news = tail != raw.load(header + layout.H_TAIL)
    raw.store(end + layout.POSITION, structs.datagram(u.first).length if u.first else 0)
    raw.store32(end + layout.FAULT, fault)
    raw.store(header + layout.H_TAIL, tail)
    if fresh:  # an edge, though nothing is queued
        raw.store(end + layout.HEAD, raw.load(end + layout.HEAD) + 1)
    return news


def emptied(end):
    """Nothing is queued for a socket any more."""
    raw.store(raw.load(end + layout.IN) + layout.H_TAIL, raw.load(end + layout.HEAD))
    raw.store(end + layout.POSITION, 0)
    raw.store32(end + layout.FAULT, 0)


def take(s, at, message, address, size, flags, scratch):
    """The oldest datagram, as recvmsg(2): -EAGAIN where there is none."""
    if at == 0:
        return -calls.EAGAIN
    u = structs.udp(at)
    end = u.user
    if u.error:
        r = -relay.errno_of(udp_user.take_error(s, at))
    elif u.first == 0:
        r = -calls.EAGAIN
    else:
        own = ancillary.own(s, structs.datagram(u.first)) if message else 0
        r = handed(u, u.first, own, message, address, size, flags, scratch)
        if not flags & calls.PEEK:
            queued = u.queued
            udp_user.pop(s, at)
            raw.store(end + layout.HEAD, raw.load(end + layout.HEAD) + queued - u.queued)
    noted(u, end)
    return r


def error(s, at):
    """SO_ERROR: the errno that was reported, which is then told; 0 for none."""
    if at == 0:
        return 0
    r = udp_user.take_error(s, at)
    noted(structs.udp(at), structs.udp(at).user)
    return relay.errno_of(r) if r else 0


def handed(u, at, own, message, address, size, flags, scratch):
    """Copy a Datagram to the program: how much of it, or its length where that is asked for. `own`: ancillary.own."""
    d = structs.datagram(at)
    at += structs.datagram_size()
    length = d.length
    if message:
        copied = scattered(message, at, length)
        cut = ancillary.tell(u, d, own, message, scratch)
        raw.store32(message + MSG_FLAGS, (calls.TRUNC if copied < length else 0) | cut)
        if raw.load(message):
            named = write_name(u, d, scratch)
            room = raw.load32(message + MSG_NAMELEN)
            octets.copy(raw.load(message), scratch, named if named < room else room)
            raw.store32(message + MSG_NAMELEN, named)
    else:
        copied = length if length < size else size
        if copied and address < 65536:
            return -calls.EFAULT
        octets.copy(address, at, copied)
    return length if flags & calls.TRUNC and copied >= 0 else copied


def scattered(message, at, length):
    """Copy `length` octets at `at` to the segments of a struct msghdr: how many had room, or -EFAULT."""
    segment = raw.load(message + MSG_IOV)
    last = segment + 16 * raw.load(message + MSG_IOVLEN)
    done = 0
    if segment < 65536 and segment < last:
        return -calls.EFAULT
    while segment < last and done < length:
        part = raw.load(segment + 8)
        if part > length - done:
            part = length - done
        if part and raw.load(segment) < 65536:
            return -calls.EFAULT
        octets.copy(raw.load(segment), at + done, part)
        done += part
        segment += 16
    return done


def gathered(message, stage):
    """Copy the segments of a struct msghdr to `stage`: their octets, one more than LONGEST for too many; or -EFAULT."""
    segment = raw.load(message + MSG_IOV)
    last = segment + 16 * raw.load(message + MSG_IOVLEN)
    done = 0
    if segment < 65536 and segment < last:
        return -calls.EFAULT
    while segment < last:
        part = raw.load(segment + 8)
        if part > LONGEST - done:
            return LONGEST + 1
        if part and raw.load(segment) < 65536:
            return -calls.EFAULT
        octets.copy(stage + done, raw.load(segment), part)
        done += part
        segment += 16
    return done


def write_name(u, d, at):
    """Write who has sent a datagram as a sockaddr of the socket's family (ip(7), ipv6(7)): its size."""
    raw.store32(at, calls.AF_INET6 if u.family == 6 else calls.AF_INET)
    octets.put16(at + 2, d.source_port)
    if u.family == 6:
        raw.store32(at + 4, 0)
        octets.put64(at + 8, d.source_high)
        octets.put64(at + 16, d.source_low)
        # of the link (RFC 4007): it means nothing without the interface
        raw.store32(at + 24, ancillary.HERE.interface if d.source_high >> 54 == LINK_LOCAL else 0)
        return 28
    octets.put32(at + 4, seq.low32(d.source_low))
    raw.store(at + 8, 0)
    return 16


def send(s, at, message, address, size, name, stage):
    """Send `size` octets at `address`, or those of a struct msghdr, to a sockaddr, or with none to the connected peer:
    as sendto(2), sendmsg(2).
    """
    if message:
        size = gathered(message, stage)
        address = stage
    if size < 0:
        return size
    if size > LONGEST:
        return -calls.EMSGSIZE
    if size and address < 65536:
        return -calls.EFAULT
    high = low = port = 0
    if name:
        high = high_of(name)
        low = low_of(name)
        port = port_of(name)
        if port == 0:
            return -calls.EINVAL
    if message and raw.load(message + MSG_CONTROLLEN):
        r = ancillary.read(s, structs.udp(at), message, to_ipv4(structs.udp(at), name))
        if r < 0:
            return r
        r = ancillary.send(s, at, address, size, high, low, port)
    else:
        r = udp_user.send(s, at, address, size, high, low, port)
    if r < 0:
        if r == -structs.WOULD_BLOCK:
            return -calls.EAGAIN
        noted(structs.udp(at), structs.udp(at).user)
        return -calls.EDESTADDRREQ if r == -structs.NOT_CONNECTED else -relay.errno_of(-r)
    return r


def to_ipv4(u, name):
    """Whether a datagram goes to an IPv4 address: that of a sockaddr, or the socket's peer."""
    return hosts.is4(high_of(name), low_of(name)) if name else hosts.is4(u.remote_high, u.remote_low)


def readable(name, length):
    """Whether `length` octets at `name` are an IPv4 or IPv6 sockaddr."""
    if name < 65536 or length < 16:
        return False
    family = raw.load32(name) & 0xFFFF
    return family == calls.AF_INET or (family == calls.AF_INET6 and length >= 24)


def high_of(name):
    return octets.get64(name + 8) if raw.load32(name) & 0xFFFF == calls.AF_INET6 else 0


def low_of(name):
    if raw.load32(name) & 0xFFFF == calls.AF_INET6:
        return octets.get64(name + 16)
    return IPV4 | octets.get32(name + 4)


def port_of(name):
    return octets.get16(name + 2)


def at_home(high, low):
    """Whether an address is this machine's by what it is: 127/8, ::1, or none at all, which stands for these."""
    return hosts.is_loopback(high, low) or (high == 0 and (low == 0 or low == IPV4))
