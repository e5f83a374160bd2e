"""What is said beside datagrams, many of them in one call, and groups: both ends, as abroad_datagrams.py.

abroad_messages.py server ADDRESS PORT | client ADDRESS PORT
"""

import ctypes
import errno
import fcntl
import functools
import socket
import struct
import time

from abroad_datagrams import ANY, FAMILY, asked, failed, made, main, said

LIBC = ctypes.CDLL(None, use_errno=True)


def described(sock, room=400):
    """What came with a datagram: its text, each control message, whether some had no room."""
    data, control, flags, _ = sock.recvmsg(100, room)
    return data, [(level, kind, meant(kind, value)) for level, kind, value in control], flags & socket.MSG_CTRUNC


def meant(kind, value):
    """A control message's value: numbers as they are, addresses, and whether there is such an interface."""
    if (kind, len(value)) == (INFO[1], 4):  # cut off behind its first part
        return "cut"
    if len(value) in (1, 4):
        return int.from_bytes(value, "little")
    if len(value) == 12:  # struct in_pktinfo
        index, own, target = struct.unpack("i4s4s", value)
        return bool(socket.if_indextoname(index)), socket.inet_ntoa(own), socket.inet_ntoa(target)
    if len(value) == 20:  # struct in6_pktinfo
        target, index = struct.unpack("16si", value)
        return bool(socket.if_indextoname(index)), socket.inet_ntop(socket.AF_INET6, target)
    return len(value)


ASKED = {
    socket.AF_INET: [(0, 8), (0, 12), (0, 13)],  # IP_PKTINFO, IP_RECVTTL, IP_RECVTOS
    socket.AF_INET6: [(41, 49), (41, 51), (41, 66)],  # IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS
}
HOPS, CLASS, INFO = ((0, 2), (0, 1), (0, 8)) if FAMILY == socket.AF_INET else ((41, 52), (41, 67), (41, 50))


def from_address(packed, index=0):
    if FAMILY == socket.AF_INET:
        return (*INFO, struct.pack("i4s4s", index, packed, bytes(4)))
    return (*INFO, struct.pack("16si", packed, index))


def number(which, value):
    return (*which, struct.pack("i", value))


def controls():
    with made() as sock:
        for option in ASKED[FAMILY]:
            sock.setsockopt(*option, 1)
        asked(sock, b"all")
        said("told", described(sock))
        for room in (0, 8, 16, 20, 36, 40, 60, 61, 64):
            asked(sock, b"room")
            said("room", room, described(sock, room))
        sock.setsockopt(*ASKED[FAMILY][0], 0)
        asked(sock, b"fewer")
        said("fewer", described(sock))
    with made() as far, made(False) as sock:
        own = far.getsockname()[0]
        packed = socket.inet_pton(FAMILY, own)
        sock.bind((own, 0))
        name = sock.getsockname()[:2]
        for option in ASKED[FAMILY]:
            sock.setsockopt(*option, 1)
        with made(False) as sender:
            sender.bind((ANY, 0))
            for control in (
                [],
                [number(HOPS, 7)],
                [number(CLASS, 0x28)],
                [number(HOPS, 9), number(CLASS, 2), from_address(packed)],
                [number((1, 1), 0)],
                [],
            ):
                sender.sendmsg([b"wi", b"th"], control, 0, name)
                said("sent", described(sock))
            sender.setsockopt(41 if FAMILY == socket.AF_INET6 else 0, 67 if FAMILY == socket.AF_INET6 else 1, 0x48)
            sender.sendto(b"class", name)
            said("class", described(sock))
            for wrong in (
                number(HOPS, 256),
                number(HOPS, -2),
                number(CLASS, 256),
                (*HOPS, b"\x40\0\0\0\0\0\0\0"),
                (*INFO, b"short"),
                (*INFO[:1], 99, bytes(4)),
                from_address(packed, 9999),
                from_address(socket.inet_pton(FAMILY, "203.0.113.1" if FAMILY == socket.AF_INET else "fd99::1")),
            ):
                said("wrong", wrong[1], failed(sender.sendmsg, [b"never"], [wrong], 0, name))
            said("elsewhere", failed(sender.sendmsg, [b"well"], [(77, 1, b"what")], 0, name), described(sock)[0])


class Message(ctypes.Structure):
    """A struct mmsghdr with one segment."""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint),
        ("segments", ctypes.c_void_p),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_long),
        ("length", ctypes.c_uint),
    ]


class Messages:
    def __init__(self, texts):
        self.rooms = [ctypes.create_string_buffer(text, len(text)) for text in texts]
        self.names = [ctypes.create_string_buffer(28) for _ in texts]
        self.segments = (ctypes.c_size_t * (2 * len(texts)))()
        self.all = (Message * len(texts))()
        for n, room in enumerate(self.rooms):
            self.segments[2 * n : 2 * n + 2] = ctypes.addressof(room), len(room)
            self.all[n].segments, self.all[n].count = ctypes.addressof(self.segments) + 16 * n, 1

    def send(self, sock):
        return LIBC.sendmmsg(sock.fileno(), self.all, len(self.all), 0)

    def receive(self, sock, flags=0):
        for one, name in zip(self.all, self.names, strict=True):
            one.name, one.name_size, one.length = ctypes.addressof(name), 28, 99
        count = LIBC.recvmmsg(sock.fileno(), self.all, len(self.all), flags, None)
        why = errno.errorcode.get(ctypes.get_errno()) if count < 0 else "no error"
        found = [(one.length, one.flags & 0xFFFFFFFF, one.name_size) for one in self.all[: max(count, 0)]]
        said("many", count, why, found)
        return [room.raw[: min(one.length, len(room))] for room, one in zip(self.rooms, self.all, strict=True)]


def many():
    """sendmmsg(2), recvmmsg(2)."""
    wait_for_one = 0x10000
    with made() as sock:
        sock.setblocking(True)
        texts = [b"a", b"two", b"", b"four and more", b"five"]
        sent = Messages(texts)
        said("sent", sent.send(sock), [one.length for one in sent.all])
        said("got", Messages([bytes(5)] * 5).receive(sock))
        Messages(texts[:2]).receive(sock, socket.MSG_DONTWAIT)
        Messages([b"one"]).send(sock)
        Messages([bytes(5)] * 3).receive(sock, wait_for_one)
        Messages([bytes(5)] * 3).receive(sock, wait_for_one | socket.MSG_DONTWAIT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
        Messages([bytes(5)] * 2).receive(sock)
        broken = Messages(texts)
        broken.all[2].segments, broken.all[2].count = 8, 1
        said("broken", broken.send(sock))
        time.sleep(0.2)
        Messages([bytes(20)] * 2).receive(sock)


# IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, IP_MULTICAST_IF, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, and those of IPv6
JOIN, LEAVE, BY, TIMES, LOOP = (35, 36, 32, 33, 34) if FAMILY == socket.AF_INET else (20, 21, 17, 18, 19)
LEVEL = 0 if FAMILY == socket.AF_INET else 41


def group_request(index, group):
    """A struct group_req, for MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP."""
    packed = socket.inet_pton(FAMILY, group)
    name = struct.pack("=HH", FAMILY, 0) + (packed if FAMILY == socket.AF_INET else bytes(4) + packed)
    return struct.pack("=II", index, 0) + name.ljust(128, b"\0")


def groups():
    """Joined, sent to, heard or not, left."""
    with made() as far, made(False) as sock:
        own = far.getsockname()[0]
        first, second = ("239.7.7.7", "239.7.7.8") if FAMILY == socket.AF_INET else ("ff15::7", "ff15::8")
        index = next(n for n, name in socket.if_nameindex() if own in owners(name))
        packed = functools.partial(socket.inet_pton, FAMILY)
        option = functools.partial(failed, sock.setsockopt, LEVEL)
        sock.bind((ANY, 0))
        port = sock.getsockname()[1]
        if FAMILY == socket.AF_INET:
            request = packed(first) + packed(own)
            indexed, unknown = (packed(second) + bytes(4) + struct.pack("i", n) for n in (index, 9999))
            said("by name", option(JOIN, request), option(JOIN, request))
            said("no interface", option(JOIN, packed(second) + packed("203.0.113.9")))
            said("by", option(BY, packed(own)), socket.inet_ntoa(sock.getsockopt(LEVEL, BY, 4)))
            said("by nobody", option(BY, packed("203.0.113.9")), option(BY, b"x"))
        else:
            request, indexed, unknown = (packed(a) + struct.pack("i", n) for a, n in (
                (first, index), (second, index), (second, 9999)
            ))  # fmt: skip
            said("join", option(JOIN, request), option(JOIN, request))
            said("by", option(BY, index), sock.getsockopt(LEVEL, BY) == index, option(BY, 9999), option(BY, b"x"))
        said("by index", option(JOIN, indexed), option(JOIN, indexed), option(LEAVE, indexed), option(LEAVE, indexed))
        said("unknown", option(JOIN, unknown), option(LEAVE, unknown))
        of_both, of_nobody = (group_request(n, second) for n in (index, 9999))
        said("of both", option(42, of_both), option(42, of_both), option(45, of_both), option(45, of_both))
        said("of nobody", option(42, of_nobody), option(42, of_both[:100]))
        said("no group", option(JOIN, packed(own) + request[len(packed(own)) :]), option(JOIN, b"short"))
        said("hops", option(TIMES, 5), sock.getsockopt(LEVEL, TIMES), option(TIMES, 256), option(TIMES, -1))
        said("default", sock.getsockopt(LEVEL, TIMES))
        said("loop", sock.getsockopt(LEVEL, LOOP), option(LOOP, 0), sock.getsockopt(LEVEL, LOOP), option(LOOP, 1))
        if FAMILY == socket.AF_INET6:
            return  # the kernel's loopback interface has no route to groups
        for asked_for in ASKED[FAMILY]:
            sock.setsockopt(*asked_for, 1)
        sock.settimeout(20)
        for number_of_hops in (1, 5):
            sock.setsockopt(LEVEL, TIMES, number_of_hops)
            sock.sendto(b"to the group", (first, port))
            said("heard", described(sock))
        said("left", option(LEAVE, request))
        sock.settimeout(0.3)
        sock.sendto(b"to nobody", (first, port))
        said("not heard", failed(sock.recv, 100))


def owners(interface):
    """The addresses of an interface, by SIOCGIFADDR; of IPv6 it is enough that nobody else has them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            found = socket.inet_ntoa(fcntl.ioctl(sock, 0x8915, interface.encode().ljust(40, b"\0"))[20:24])
        except OSError:
            return ()
        return (found, *OF_IPV6.get(found, ()))


OF_IPV6 = {"127.0.0.1": ["::1"], "10.77.1.2": ["fd00:77::2"]}


if __name__ == "__main__":
    main(controls, many, groups)
