"""Sockets of the program on a network of our own (libos/network.py): what bind, listen, accept, connect and the names
mean for them. All of it is set-up: with the GIL.

A socket is ours when the program binds it to an address of the network, connects it there, or accepts from there; one
that listens on all addresses listens on the kernel's and on ours.
"""

from os.path import commonprefix

from interpose import attention, description, sockaddr
from libos import diagnostics, own_socket, raw
from libos.crossing import LOOPBACK
from libos.network import Refusal
from libos.refusal import Refused

NOT_OURS = 1
ENOMEM, ENETDOWN = 12, 100
ANY = (bytes(4), bytes(16))


def where(address, length):
    """(packed address, port) of a sockaddr, IPv4 out of IPv6; None for what isn't one."""
    found = sockaddr.read(address, length)
    return None if found is None else (sockaddr.unmapped(found[0]), found[1])


class Standing:
    """For `with`: an object for the program's own socket, which stays open."""

    def __init__(self, d):
        self.sock = own_socket.standing_for(d.queue.fd)

    def __enter__(self):
        return self.sock

    def __exit__(self, *_):
        self.sock.detach()


def bind(d, address, length):
    """bind(2) to an address of the network; NOT_OURS for any other."""
    network, name = description.process().network, where(address, length)
    try:
        if name is None or name[0] in ANY or d.queue.crossing is not None or not network.owns(name[0]):
            return NOT_OURS
        with Standing(d) as sock:
            bound = network.bind(sock, *name, d.queue.end)
            try:
                sock.bind((LOOPBACK[sock.family], 0))
            except OSError:
                bound.released()
                raise
        d.queue.crossing = bound
        return 0
    except Refusal as refusal:
        return -refusal.errno
    except OSError as error:
        return -error.errno


def listening(d, backlog):
    """After listen(2) on the kernel: on the network too, unless the socket is bound to an address of the kernel's. 0 or
    -errno.
    """
    network, bound = description.process().network, d.queue.crossing
    try:
        with Standing(d) as sock:
            name = sock.getsockname()[:2]
            if bound is None and (name[0] not in ("0.0.0.0", "::") or not network.there()):
                return 0
            d.queue.crossing = network.listen(bound, sock, name[1], backlog, d.queue.end)
        return 0
    except Refusal as refusal:
        return -refusal.errno
    except OSError as error:
        return -error.errno


def connect(d, address, length):
    """Begin connect(2) to an address of the network: 0, -errno, or NOT_OURS."""
    process, name = description.process(), where(address, length)
    try:
        if name is None or not process.network.reaches(name[0]):
            return NOT_OURS
        if process.ruled and process.choose(*name) != "catnip":
            return NOT_OURS
        if d.queue.crossing is not None and d.queue.crossing.peer is not None:
            return NOT_OURS  # the kernel knows that it is connected
        with Standing(d) as sock:
            d.queue.crossing = process.network.connect(sock, d.queue.crossing, *name)
        cross(d)
        return 0
    except Refusal as refusal:
        return -refusal.errno
    except Refused:
        return -ENOMEM
    except OSError as error:
        return -(error.errno or ENETDOWN)


def cross(d):
    """The description's connection gets its rings now, or when it is worth it: its ends have met."""
    crossing = d.queue.crossing
    d.driven = True
    d.relay = crossing.relay
    d.queue.meeting = crossing
    crossing.end = d.end
    if crossing.at_once:
        attention.attend(d)


def accepted(d, name):
    """A socket was accepted: when it comes from the network, its peer's name is written where `name` says."""
    crossing = description.process().network.arrivals.accepted(d.queue.fd)
    if crossing is None:
        return
    d.queue.crossing = crossing
    if crossing.at_once:
        with Standing(d) as sock:
            crossing.options(sock)
    cross(d)
    if name:
        # how much room the program gave is known by how much the kernel has written there
        seen = sockaddr.text(crossing.family, diagnostics.numbers(crossing.met)[1:])
        room = len(commonprefix((seen, sockaddr.bytes_at(name, len(seen)))))
        sockaddr.write(crossing.family, crossing.peer, name, room)
    crossing.met = None


def known(d, peer, address, length):
    """getsockname(2), or getpeername(2) when `peer`, of a socket on the network; NOT_OURS where the kernel is right."""
    crossing = d.queue.crossing
    name = crossing.peer if peer else crossing.local
    if name is None or not address or not length:
        return NOT_OURS
    size = sockaddr.write(crossing.family, name, address, raw.load32(length))
    raw.store32(length, size)
    return 0


def fault(d, value, length):
    """SO_ERROR of a socket on the network, where the kernel has said `value`."""
    if raw.load32(length) >= 4:
        why = d.queue.crossing.why(d.queue.end, raw.load32(value))
        if why:
            raw.store32(value, why)


def changed(d, level, option):
    """An option of a socket on the network was set."""
    if (level, option) in d.queue.crossing.known:
        with Standing(d) as sock:
            d.queue.crossing.options(sock, ((level, option),))
