"""TCP and UDP sockets of Catnip's stack as PDPIX queues: attempts at operations, under the libOS's lock."""

import ipaddress
import socket as kernel

from libos.catnip import words
from libos.errors import Fail, Kind
from libos.net import structs, udp_user
from libos.net.tcp import user
from libos.net_options import SWITCHES
from libos.sgarray import SGArray, address_of

KINDS = {
    structs.REFUSED: Kind.REFUSED,
    structs.RESET: Kind.RESET,
    structs.BROKEN_PIPE: Kind.RESET,
    structs.TIMED_OUT: Kind.TIMED_OUT,
    structs.NOT_CONNECTED: Kind.NOT_CONNECTED,
    structs.INVALID: Kind.INVALID,
    structs.ALREADY: Kind.INVALID,
    structs.IS_CONNECTED: Kind.INVALID,
    structs.ADDRESS_UNAVAILABLE: Kind.INVALID,
    structs.TOO_LONG: Kind.INVALID,
    structs.IN_USE: Kind.IN_USE,
    structs.NO_MEMORY: Kind.NO_MEMORY,
    structs.NOT_SUPPORTED: Kind.UNSUPPORTED,
    structs.DENIED: Kind.UNSUPPORTED,
}


def checked(r):
    """A count, or None for would-block. Raises Fail."""
    if r >= 0:
        return r
    if r in (-structs.WOULD_BLOCK, -structs.IN_PROGRESS):
        return None
    kind = KINDS.get(-r, Kind.DEVICE)
    raise Fail(kind, f"{kind.value} (the network stack's error {-r})")


def target(address):
    """(high, low, port) of Python's socket address."""
    return (*words(ipaddress.ip_address(address[0] or "0.0.0.0").packed), address[1])


def local(family, address):
    """As target, of an address to be bound: none of either family is 0."""
    high, low, port = target(address)
    return (0, 0, port) if low & 0xFFFFFFFF == 0 and family == 4 else (high, low, port)


def named(family, high, low, port):
    """Python's socket address (ip(7), ipv6(7))."""
    if family == 4:
        return str(ipaddress.IPv4Address(low & 0xFFFFFFFF)), port
    return str(ipaddress.IPv6Address(high << 64 | low)), port, 0, 0


class NetQueue:
    """A TCP connection or listener: `at` is the address of its record in the stack."""

    def __init__(self, libos, family, at):
        self.libos = libos
        self.family = family
        self.at = at
        self.tcp = libos.catnip.stack.tcp
        libos.by_record[at] = self

    @property
    def domain(self):
        return kernel.AF_INET if self.family == 4 else kernel.AF_INET6

    def fileno(self):
        """There is no kernel socket below."""
        return -1

    def pushing(self, sga, address=None):
        """Attempts to give all of `sga` to the connection; keeps its place between them."""
        left = [segment for segment in sga.segments if len(segment)]

        def attempt():
            self.libos.now()
            try:
                while left:
                    taken = checked(user.send(self.tcp, self.at, address_of(left[0]), len(left[0]), len(left) > 1))
                    if taken is None:
                        return None
                    left[0] = left[0][taken:]
                    if not len(left[0]):
                        left.pop(0)
            finally:
                self.libos.flush()
            return len(sga), None, None

        return attempt

    def popping(self, size):
        def attempt():
            self.libos.now()
            if not user.ready(self.tcp, self.at) & structs.READABLE:
                return None
            sga = SGArray.alloc(self.libos.heap, size)
            try:
                taken = checked(user.receive_into(self.tcp, self.at, sga.addresses[0], size, False))
            except BaseException:
                sga.free()
                raise
            finally:
                self.libos.flush()
            if taken is None:
                sga.free()
                return None
            sga.trim(taken)
            return taken, sga, None

        return attempt

    def accepting(self):
        def attempt():
            self.libos.now()
            r = user.accept(self.tcp, self.at)
            if r < 0:
                return checked(r)
            queue = NetQueue(self.libos, structs.tcb(r).family, r)
            return self.libos.add(queue), None, queue.peer()

        return attempt

    def connecting(self, address):
        begun = False

        def attempt():
            nonlocal begun
            self.libos.now()
            if not begun:
                begun = True
                checked(user.connect(self.tcp, self.at, *target(address)))
                self.libos.flush()
                return None
            error = user.take_error(self.tcp, self.at)
            if error:
                checked(-error)
            return (0, None, None) if structs.tcb(self.at).state >= structs.ESTABLISHED else None

        return attempt

    def bind(self, address):
        checked(user.bind(self.tcp, self.at, *local(self.family, address)))

    def listen(self, backlog):
        checked(user.listen(self.tcp, self.at, backlog))

    def ready(self, mask):
        have = user.ready(self.tcp, self.at)
        if have & (structs.FAILED | structs.HANGUP):
            return mask
        return mask & ((1 if have & structs.READABLE else 0) | (2 if have & structs.WRITABLE else 0))

    def peek(self, size):
        room = bytearray(size)
        taken = checked(user.receive_into(self.tcp, self.at, address_of(memoryview(room)), size, True))
        return bytes(room[: taken or 0])

    def pop_into(self, buffer):
        view = memoryview(buffer).cast("B")
        taken = checked(user.receive_into(self.tcp, self.at, address_of(view), len(view), False))
        if taken is None:
            raise Fail(Kind.WOULD_BLOCK)
        return taken

    def pending(self):
        return user.readable(self.tcp, self.at)

    def name(self):
        c = structs.tcb(self.at)
        return named(self.family, c.local_high, c.local_low, c.local_port)

    def peer(self):
        c = structs.tcb(self.at)
        if not c.remote_port or c.state < structs.ESTABLISHED:
            raise Fail(Kind.NOT_CONNECTED)
        return named(self.family, c.remote_high, c.remote_low, c.remote_port)

    def set_option(self, level, option, value):
        if (level, option) not in SWITCHES:
            raise Fail(Kind.UNSUPPORTED, f"option {option} of level {level}")
        checked(user.set_option(self.tcp, self.at, SWITCHES[level, option], bool(value)))

    def option(self, level, option):
        if (level, option) == (kernel.SOL_SOCKET, kernel.SO_ERROR):
            return user.take_error(self.tcp, self.at)
        if (level, option) not in SWITCHES:
            raise Fail(Kind.UNSUPPORTED, f"option {option} of level {level}")
        return int(structs.tcb(self.at).options & SWITCHES[level, option] != 0)

    def shutdown(self, how):
        reading, writing = how in (kernel.SHUT_RD, kernel.SHUT_RDWR), how in (kernel.SHUT_WR, kernel.SHUT_RDWR)
        checked(user.shutdown(self.tcp, self.at, reading, writing))

    def blocked(self, direction):
        """The stack tells of every record anyway."""

    def close(self):
        self.libos.by_record.pop(self.at, None)
        self.libos.now()
        user.close(self.tcp, self.at)
        self.libos.flush()


class NetDatagramQueue(NetQueue):
    """A UDP socket."""

    def __init__(self, libos, family, at):
        super().__init__(libos, family, at)
        self.udp = libos.catnip.stack.udp

    def pushing(self, sga, address=None):
        high, low, port = target(address) if address else (0, 0, 0)

        def attempt():
            self.libos.now()
            whole = sga.segments[0] if len(sga.segments) == 1 else memoryview(bytes(sga))
            taken = checked(udp_user.send(self.udp, self.at, address_of(whole), len(whole), high, low, port))
            self.libos.flush()
            return None if taken is None else (taken, None, None)

        return attempt

    def popping(self, size):
        def attempt():
            self.libos.now()
            first = udp_user.first(self.udp, self.at)
            if not first:
                checked(-udp_user.take_error(self.udp, self.at))
                return None
            d = structs.datagram(first)
            sender = named(self.family, d.source_high, d.source_low, d.source_port)
            sga = SGArray.alloc(self.libos.heap, size)
            taken = udp_user.receive_into(self.udp, self.at, sga.addresses[0], size)
            sga.trim(min(taken, size))
            return min(taken, size), sga, sender

        return attempt

    def accepting(self):
        raise Fail(Kind.UNSUPPORTED, "accept on a datagram socket")

    def connecting(self, address):
        def attempt():
            self.libos.now()
            checked(udp_user.connect(self.udp, self.at, *target(address)))
            return 0, None, None

        return attempt

    def bind(self, address):
        checked(udp_user.bind(self.udp, self.at, *local(self.family, address)))

    def listen(self, backlog):
        raise Fail(Kind.UNSUPPORTED, "listen on a datagram socket")

    def ready(self, mask):
        have = udp_user.ready(self.udp, self.at)
        return mask & ((1 if have & structs.READABLE else 0) | (2 if have & structs.WRITABLE else 0))

    def name(self):
        u = structs.udp(self.at)
        return named(self.family, u.local_high, u.local_low, u.local_port)

    def peer(self):
        u = structs.udp(self.at)
        if not u.remote_port:
            raise Fail(Kind.NOT_CONNECTED)
        return named(self.family, u.remote_high, u.remote_low, u.remote_port)

    def close(self):
        self.libos.by_record.pop(self.at, None)
        udp_user.close(self.udp, self.at)
