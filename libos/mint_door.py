"""Where programs of other machines ask for connections of this machine's, by Catmint: a TCP port that all processes of
a user share (SO_REUSEPORT, socket(7)).

The kernel gives a caller to any of them. It reads one line, checks it, and hands the caller on, by a Unix socket with
the name of the connection that he is asking for, to the process that has that.
"""

import _socket
import os
import select

from libos import calls, own_socket
from libos.meeting import send
from libos.memory_file import high
from libos.rendezvous import LONGEST

PLACE = b"\0catflap/mint/abroad/"
HELLO = b"catmint-hello/1"
GUESTS = 64  # callers that have not said their line yet; the oldest makes way
SO_REUSEPORT, IPV6_V6ONLY = 15, 26


class Guest:
    """Who has come to the door."""

    def __init__(self, door, sock):
        self.door = door
        self.sock = sock
        self.said = b""

    def heard(self):
        try:
            more = self.sock.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        self.said += more
        if more and b"\n" not in self.said and len(self.said) < LONGEST:
            return
        try:
            self.hand_on()
        except (OSError, ValueError):  # nobody here waits for him yet, or he is none of ours: he hears it by our close
            pass
        self.door.leave(self)

    def hand_on(self):
        """Raises OSError, ValueError."""
        words = self.door.secret.opened(HELLO, self.said).split()
        unix = own_socket.made(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            unix.connect(PLACE + bytes.fromhex(words[0].decode("ascii")))
            send(unix, self.said, self.sock.fileno())
        finally:
            unix.close()


class Door:
    """`by_fd`, `epoll`: of who listens. Raises OSError."""

    def __init__(self, secret, port, by_fd, epoll):
        self.secret = secret
        self.by_fd = by_fd
        self.epoll = epoll
        self.guests = []
        self.sock = None
        try:
            self.sock = listening(_socket.AF_INET6, "::", port)
        except OSError as error:
            if error.errno not in (calls.EAFNOSUPPORT, calls.EADDRNOTAVAIL):
                raise
            self.sock = listening(_socket.AF_INET, "0.0.0.0", port)
        self.enter(self.sock, self)

    def enter(self, sock, who):
        self.by_fd[sock.fileno()] = who
        self.epoll.register(sock.fileno(), select.EPOLLIN)

    def heard(self):
        try:
            fd, _ = self.sock._accept()
        except OSError:  # he has left, or there is no descriptor left
            return
        os.set_blocking(fd, False)
        sock = own_socket.standing_for(high(fd))
        if len(self.guests) == GUESTS:
            self.leave(self.guests[0])
        self.guests.append(Guest(self, sock))
        self.enter(sock, self.guests[-1])

    def leave(self, guest):
        self.guests.remove(guest)
        self.epoll.unregister(guest.sock.fileno())
        del self.by_fd[guest.sock.fileno()]
        guest.sock.close()

    def detach(self):
        """Their numbers are closed, or another's."""
        for sock in (self.sock, *(guest.sock for guest in self.guests)):
            sock.detach()


def listening(family, address, port):
    sock = own_socket.raised(own_socket.made(family, _socket.SOCK_STREAM))
    try:
        sock.setsockopt(_socket.SOL_SOCKET, SO_REUSEPORT, 1)
        if family == _socket.AF_INET6:
            sock.setsockopt(_socket.IPPROTO_IPV6, IPV6_V6ONLY, 0)
        sock.bind((address, port))
        sock.listen(GUESTS)
    except OSError:
        sock.close()
        raise
    return sock
