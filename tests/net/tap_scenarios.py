"""What two hosts do with each other, and what their programs see of it (linux_tap.py has the hosts and the wire).

A scenario takes the wire, the host that acts and the one that it acts upon, and answers what there was to see. It is
played with either host in either role.
"""

import hashlib
import itertools
import socket
import struct

from frames import icmp, read_segment

PORTS = itertools.count(8000)
SIZE = 300_000


def pair(wire, a, b, prepare=lambda s: None):
    """A connection, as a socket of each host."""
    port = next(PORTS)
    listener, s = b.socket(), a.socket()
    for one in (listener, s):
        prepare(one)
    listener.listen(port)
    assert wire.until(s.connect, b.address, port) == "connected"
    t = wire.until(listener.accept)
    listener.close()
    return s, t


def rest(wire, s):
    """What comes until the end: octets, and how it ends."""
    data = b""
    while isinstance(part := wire.until(s.receive), bytes) and part:
        data += part
    return data.decode("latin-1"), part or "end"


def delivered(wire, s, t, data, wait=0):
    """Whether `data` comes out of `t` as it went into `s`, and how it ends; `t` is not read for the first seconds."""
    digest, sent, left = hashlib.sha256(), 0, None
    while left is None:
        if sent < len(data) and (n := s.send(data[sent : sent + 65536])):
            sent += n
            if sent == len(data):
                s.shutdown()
        elif wait:
            assert sent < len(data), "the window was never shut"
            wire.idle(wait)
            wait = 0
        if not wait:
            while part := t.receive():
                assert isinstance(part, bytes), part
                digest.update(part)
            left = part
        wire.turn()
    return digest.digest() == hashlib.sha256(data).digest()


def pattern(size=SIZE):
    return b"".join(i.to_bytes(4, "big") for i in range(size // 4))


def refused(wire, a, b):
    """A SYN to a port where nobody listens."""
    return wire.until(a.socket().connect, b.address, next(PORTS))


def half_close(wire, a, b):
    """`a` ends its stream first; `b` goes on and ends later."""
    s, t = pair(wire, a, b)
    wire.until(s.send, b"question")
    s.shutdown()
    asked = rest(wire, t)
    wire.until(t.send, b"answer")
    t.shutdown()
    seen = asked, rest(wire, s), s.send(b"more")
    s.close()
    t.close()
    return seen


def simultaneous_close(wire, a, b):
    """Both streams end before either host knows of the other's end."""
    s, t = pair(wire, a, b)
    s.shutdown()
    t.shutdown()
    seen = rest(wire, s), rest(wire, t)
    s.close()
    t.close()
    return seen


def reset(wire, a, b):
    """`a` closes without lingering: what the peer sees when it reads and writes."""
    s, t = pair(wire, a, b)
    wire.until(s.send, b"lost")
    s.reset()
    wire.idle(0.01)
    return rest(wire, t), t.receive().decode(), t.send(b"x")


def unread(wire, a, b):
    """`a` closes with something unread."""
    s, t = pair(wire, a, b)
    wire.until(t.send, b"nobody reads this")
    wire.idle(0.01)
    s.close()
    return rest(wire, t), t.send(b"x")


def urgent(wire, a, b):
    """The last octet of a piece is urgent."""
    s, t = pair(wire, a, b)
    wire.until(s.send, b"ab")
    wire.until(s.send_urgent, b"cd")
    wire.until(s.send, b"ef")
    wire.idle(0.01)
    octet = t.receive_urgent()
    seen = octet.decode(), t.receive().decode(), t.receive().decode(), t.receive_urgent()
    s.close()
    t.close()
    return seen


def zero_window(wire, a, b):
    """The receiver doesn't read until the window has been shut for a while."""
    s, t = pair(wire, a, b, lambda s: s.small_buffers())
    return delivered(wire, s, t, pattern(), wait=0.5)


def transfer(wire, a, b):
    """A stream there, and when it has ended, one back."""
    s, t = pair(wire, a, b)
    there = delivered(wire, s, t, pattern())
    return there, delivered(wire, t, s, pattern(1 << 20))


def small_mtu(wire, a, b):
    """Linux' interface takes small frames only, and says so by its MSS: no segment is larger."""
    mtu = 1280 if wire.family == 6 else 600
    wire.linux.set_mtu(mtu)
    wire.seen.clear()
    s, t = pair(wire, a, b)
    seen = delivered(wire, s, t, pattern()), delivered(wire, t, s, pattern())
    wire.linux.set_mtu(1500)
    return seen, max(len(frame) for frame in wire.seen) - 14 <= mtu


def path_mtu(wire, a, b):
    """A router between the hosts takes small packets only (RFC 1191, RFC 8201)."""
    mtu = 1400 if a is wire.other else 1300  # smaller than what the first role has told of the way
    ends, plain, told = pair(wire, a, b), wire.router, []

    def router(source, frame):
        if source is not a or len(frame) - 14 <= mtu or not read_segment(frame):
            return None
        told.append(len(frame) - 14)
        packet, names = frame[14:], (wire.addresses if a is wire.other else wire.addresses[::-1])
        kind, code, quote = (3, 4, 576) if wire.family == 4 else (2, 0, 1200)
        rest = struct.pack(">I", mtu)
        return frame[6:12] + frame[:6] + frame[12:14] + icmp(names[1], names[0], kind, code, rest, packet[:quote])

    wire.router = router
    seen = delivered(wire, *ends, pattern())
    wire.router = plain
    return seen, bool(told)


def keep_alive(wire, a, b):
    """An idle peer answers; one that can't be reached any more ends the connection."""
    s, t = pair(wire, a, b)
    s.keep_alive(1, 1, 2)
    wire.idle(1.3)
    alive = s.receive()
    wire.cut = True
    ended = wire.until(s.receive)
    wire.cut = False
    t.reset()
    return alive, ended


def unreachable(wire, a, b):
    """A datagram to a port that nobody has."""
    s = a.socket(socket.SOCK_DGRAM)
    wire.until(s.connect, b.address, next(PORTS))
    seen = wire.until(s.send, b"hello"), wire.until(s.receive)
    s.close()
    return seen


PLAYED = (refused, half_close, simultaneous_close, reset, unread, urgent, zero_window, transfer, path_mtu, small_mtu)
PLAYED += (keep_alive, unreachable)
SCENARIOS = {play.__name__: play for play in PLAYED}
