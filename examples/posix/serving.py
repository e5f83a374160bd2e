"""What the POSIX servers here share: a listening socket, and a loop that gives each connection a session.

A session is a protocol without I/O: `receive(data)` takes bytes, `answers()` returns the next bytes to send (b"": none
until more is received), `ended` is true when nothing more will be answered, and `lost()` says that the peer is gone.
"""

import selectors
import socket

MOST = 1000  # connections; further ones wait in the backlog
PIECE = 65536


def bound(kind, address):
    """A socket of type `kind` at an address (port 0: any), which is printed. Raises OSError."""
    sock = socket.socket(socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address)
    if kind == socket.SOCK_STREAM:
        sock.listen(128)
    print("listening on {}:{}".format(*sock.getsockname()), flush=True)
    return sock


def connected(address, timeout=10):
    """A TCP connection to an address, not blocking. Raises OSError."""
    sock = socket.create_connection(address, timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


class Connection:
    """A socket, its session, what is left to send, and the events that it waits for."""

    def __init__(self, sock, session):
        self.socket = sock
        self.session = session
        self.left = memoryview(b"")
        self.events = selectors.EVENT_READ
        self.shut = False

    def fileno(self):
        return self.socket.fileno()


class Server:
    """A connection waits for one event: a client that doesn't read its answers isn't read from."""

    def __init__(self, address, make_session):
        self.make_session = make_session
        self.connections = 0
        self.selector = selectors.DefaultSelector()
        self.listener = bound(socket.SOCK_STREAM, address)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self.accept()
                    continue
                try:
                    self.turn(key.fileobj)
                except BlockingIOError:
                    pass
                except OSError:
                    self.close(key.fileobj)

    def accept(self):
        try:
            sock, _ = self.listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(Connection(sock, self.make_session()), selectors.EVENT_READ)
        self.connections += 1
        if self.connections == MOST:
            self.selector.unregister(self.listener)

    def turn(self, connection):
        """What can be done now. Raises OSError when the connection has failed, BlockingIOError to wait."""
        if connection.events == selectors.EVENT_READ:
            data = connection.socket.recv(PIECE)
            if not data:
                return self.close(connection)
            connection.session.receive(data)
        self.wait_for(connection, selectors.EVENT_WRITE)
        while connection.left or (answers := connection.session.answers()):
            connection.left = connection.left or memoryview(answers)
            connection.left = connection.left[connection.socket.send(connection.left) :]
        # what still comes after the end is read and dropped: closing now would reset the connection, and the last
        # answer would be lost with it
        if connection.session.ended and not connection.shut:
            connection.shut = True
            connection.socket.shutdown(socket.SHUT_WR)
        self.wait_for(connection, selectors.EVENT_READ)

    def wait_for(self, connection, events):
        if connection.events != events:
            connection.events = events
            self.selector.modify(connection, events)

    def close(self, connection):
        connection.session.lost()
        self.selector.unregister(connection)
        connection.socket.close()
        self.connections -= 1
        if self.connections == MOST - 1:
            self.selector.register(self.listener, selectors.EVENT_READ)
