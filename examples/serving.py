"""What the PDPIX servers here share: a listening queue, and a loop that gives each connection a session.

A session is a protocol without I/O: `receive(data)` takes bytes, `answers()` returns the next bytes to send (b"": none
until more is received), `ended` is true when nothing more will be answered, and `lost()` says that the peer is gone.
"""

import socket

from examples.common import options
from libos.errors import Fail
from libos.factory import native
from libos.pdpix import ACCEPT, FAILED, POP
from libos.sgarray import SGArray

MOST = 1000  # connections; further ones wait in the backlog


def started(chosen):
    """The libOS of a command line."""
    return native(chosen.libos, **options.of_libos(chosen))


def at(libos, address):
    """An address of a command line; where that gives no host it is this one."""
    return address[0] or libos.address, address[1]


def bound(libos, kind, address):
    """The qd of a socket of type `kind` at an address (port 0: any), which is printed. Raises Fail."""
    qd = libos.socket(socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:
        libos.setsockopt(qd, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    libos.bind(qd, at(libos, address))
    if kind == socket.SOCK_STREAM:
        libos.listen(qd)
    print("listening on {}:{}".format(*libos.getsockname(qd)), flush=True)
    return qd


def connected(libos, address, timeout=10):
    """The qd of a TCP connection to an address. Raises Fail."""
    qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        result = libos.wait(libos.connect(qd, at(libos, address)), timeout)
        if result.error:
            raise result.error
        libos.setsockopt(qd, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except Fail:
        libos.close(qd)
        raise
    return qd


class Server:
    """One operation of each connection is in flight: a client that doesn't read its answers isn't read from."""

    def __init__(self, libos, address, make_session):
        self.libos = libos
        self.make_session = make_session
        self.sessions = {}
        self.shut = set()
        self.waiting = libos.wait_set()
        self.listener = bound(libos, socket.SOCK_STREAM, address)
        self.waiting.add(libos.accept(self.listener))

    def run(self):
        while True:
            result = self.waiting.wait()
            if result.qd == self.listener:
                self.accepted(result)
            elif result.opcode == FAILED:
                self.close(result.qd)
            elif result.opcode == POP:
                with result.sga as sga:
                    data = bytes(sga)
                if data:
                    self.sessions[result.qd].receive(data)
                    self.advance(result.qd)
                else:
                    self.close(result.qd)
            else:
                self.advance(result.qd)

    def accepted(self, result):
        if result.opcode != ACCEPT:
            raise result.error
        self.libos.setsockopt(result.value, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sessions[result.value] = self.make_session()
        self.waiting.add(self.libos.pop(result.value))
        if len(self.sessions) < MOST:
            self.waiting.add(self.libos.accept(self.listener))

    def advance(self, qd):
        """Answers first, then further requests."""
        session = self.sessions[qd]
        answers = session.answers()
        if answers:
            self.waiting.add(self.libos.push(qd, SGArray.of(answers)))
            return
        # what still comes after the end is read and dropped: closing now would reset the connection, and the last
        # answer would be lost with it
        if session.ended and qd not in self.shut:
            self.shut.add(qd)
            try:
                self.libos.shutdown(qd, socket.SHUT_WR)
            except Fail:
                return self.close(qd)
        self.waiting.add(self.libos.pop(qd))

    def close(self, qd):
        self.sessions.pop(qd).lost()
        self.shut.discard(qd)
        self.libos.close(qd)
        if len(self.sessions) == MOST - 1:
            self.waiting.add(self.libos.accept(self.listener))
