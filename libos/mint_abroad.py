"""How the two ends of a program's TCP connection meet by Catmint's fabric when they are on different machines.

Not a byte of ours goes by that connection, since the other end may know nothing of Catmint. The connecting end calls
the other machine's door (libos/mint_door.py) and names the connection by its addresses; whoever has it there answers.
Both say where their endpoints are, under a secret that both must know: there is no kernel that would say who they are.
"""

import _socket
import os
import struct

from libos import diagnostics, own_socket
from libos.meeting import SO_PEERCRED, close_all, receive
from libos.mint_door import HELLO, PLACE
from libos.mint_meeting import MintMeeting
from libos.refusal import Refused
from libos.rendezvous import LONGEST, NONCE, Card

ANSWER, FIRST = b"catmint-answer/1", b"catmint-first/1"
MAPPED = "::ffff:"


def end_of(name):
    """An end of a connection, as text; an IPv4 address inside IPv6 is IPv4."""
    host = name[0].partition("%")[0].removeprefix(MAPPED)
    return f"{host}:{name[1]}"


class FarMeeting(MintMeeting):
    """As MintMeeting, by the other machine's door."""

    def found(self, tcp):
        self.secret = self.network.secret
        here, there = tcp.getsockname(), tcp.getpeername()
        ends = (there, here) if self.accepting else (here, there)
        self.called = "/".join(map(end_of, ends)).encode()
        self.there = (there[0], self.network.port, *there[2:])
        self.family_there = tcp.family
        self.unix_sock = None
        self.heard = b""
        return PLACE + self.called

    def close(self):
        MintMeeting.close(self)
        if self.unix_sock is not None:
            self.unix_sock.close()
            self.unix_sock = None
        self.heard = b""

    def connect(self):
        """Whether there is a connection to the other machine's door, or one is on its way."""
        self.network.open()
        sock = own_socket.raised(own_socket.made(self.family_there, _socket.SOCK_STREAM))
        try:
            sock.connect(self.there)
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            return False
        self.sock = sock
        self.said = b""
        return True

    def greet(self, card):
        """As MintMeeting's, of who answers; who calls has a connection first."""
        if self.accepting:
            self.said = self.secret.sealed(ANSWER + b" " + self.said_to_us, card.line().rstrip())
            self.nonce = self.secret.seal(FIRST, self.said)
            self.say()

    def say(self):
        if self.sock.send(self.said, _socket.MSG_NOSIGNAL) != len(self.said):
            raise BlockingIOError

    def greeting(self):
        try:
            if self.accepting:
                return (self.card_of(self.secret.opened(HELLO, self.said_to_us).split()[2:]),)
            return (self.answered(),)
        except (EOFError, ConnectionError):  # nobody is at that door, or not who has this connection: later, perhaps
            self.close()
            raise BlockingIOError
        except ValueError:
            raise Refused("PEER_UNKNOWN")

    def answered(self):
        """The card of the other end. Raises BlockingIOError until then."""
        if not self.said:
            name, nonce = self.called.hex().encode(), os.urandom(NONCE).hex().encode()
            self.said = self.secret.sealed(HELLO, b"%s %s %s" % (name, nonce, self.network.card.line().rstrip()))
            try:
                self.say()
            except BlockingIOError:
                self.said = b""
                raise
        while b"\n" not in self.heard:
            more = self.sock.recv(LONGEST)
            if not more:
                raise EOFError
            self.heard += more
            if len(self.heard) > LONGEST:
                raise ValueError("no line")
        text = self.secret.opened(ANSWER + b" " + self.said, self.heard)
        self.first = self.secret.seal(FIRST, self.heard)
        return self.card_of(text.split())

    def card_of(self, words):
        """Raises ValueError, Refused."""
        card = Card.of(b" ".join(words))
        if self.network.card.differs(card):
            if self.accepting:
                self.greet(self.network.card)  # for the other end to know why
            raise Refused("FABRIC")
        return card

    def first_words(self, card):
        return self.first

    def accept(self):
        """The other end has come, by some process's door. Raises BlockingIOError."""
        if self.unix_sock is None:
            self.network.open()  # from now on there is a door
            MintMeeting.accept(self)
            self.unix_sock, self.sock = self.sock, None
        uid = struct.unpack("=iII", self.unix_sock.getsockopt(diagnostics.SOL_SOCKET, SO_PEERCRED, 12))[1]
        self.said_to_us, fds = receive(self.unix_sock, 1)
        if uid != os.geteuid():
            close_all(fds)
            raise Refused("PEER_UID")
        self.unix_sock.close()
        self.unix_sock = None
        os.set_blocking(fds[0], False)
        self.sock = own_socket.raised(own_socket.standing_for(fds[0]))
        self.begin()
