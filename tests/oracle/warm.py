"""Connections that have been in use before a test gets them, so that what the test does goes through shared memory.

The two ends of a connection within this process exchange a few words when it is accepted, under Catflap and on the
kernel alike. A client that connects waits for that, a moment; one that can't wait is only touched by its own thread. An
end that has something to read is left alone.
"""

import _socket
import _thread
import socket
import struct
import threading
import weakref

plain = _socket.socket
LEAST, MOST = 12, 40
WORD = b"warm"
RECEIVED = 128  # offset of tcpi_bytes_received (tcp(7), TCP_INFO)
MOMENT = 0.05  # s


class Arrival:
    """A client that has connected, until it is accepted: `thread` is who may touch it, None while that one waits."""

    def __init__(self, client, waits):
        self.client = weakref.ref(client)
        self.thread = None if waits else threading.get_ident()
        self.over = False


class Warmth:
    """`warmed` connections so far, and how many of them the kernel no longer sees the words of: `carried`."""

    def __init__(self):
        self.lock = threading.Condition()
        self.arrivals = {}
        self.warmed = self.carried = 0

    def connected(self, client, waits):
        name = client.family, plain.getsockname(client)
        waits = waits and _thread._count() > 0
        with self.lock:
            arrival = self.arrivals[name] = Arrival(client, waits)
            self.lock.notify_all()
            if waits:
                self.lock.wait_for(lambda: arrival.over, MOMENT)
                self.arrivals.pop(name, None)

    def accepted(self, server, name):
        name = server.family, name
        with self.lock:
            self.lock.wait_for(lambda: name in self.arrivals, MOMENT if _thread._count() else 0)
            arrival = self.arrivals.pop(name, None)
            if arrival and arrival.thread in (None, threading.get_ident()):
                client = arrival.client()
                if client is not None:
                    self.warm(client, server)
            if arrival:
                arrival.over = True
                self.lock.notify_all()

    def warm(self, client, server):
        before = [(sock, sock.gettimeout()) for sock in (client, server)]
        for sock, _ in before:
            sock.settimeout(0)
        if silent(client) and silent(server):
            for sock, _ in before:
                sock.settimeout(5)
            self.warmed += 1
            self.carried += exchange(client, server)
        for sock, seconds in before:
            sock.settimeout(seconds)


def exchange(client, server):
    """Words there and back until the kernel has seen none of the last ones; then True. A dozen where Catflap is not."""
    for _ in range(MOST if under() else LEAST):
        before = received(client), received(server)
        for sender, receiver in ((client, server), (server, client)):
            plain.sendall(sender, WORD)
            assert plain.recv(receiver, len(WORD)) == WORD
        if (received(client), received(server)) == before:
            return True
    return False


def received(sock):
    """Bytes that the kernel has brought to this end."""
    return struct.unpack_from("=Q", plain.getsockopt(sock, socket.IPPROTO_TCP, socket.TCP_INFO, 256), RECEIVED)[0]


def under():
    with open("/proc/self/maps") as maps:
        return "libcatflap_host.so" in maps.read()


def silent(sock):
    """Whether a non-blocking connection has nothing to be read, not even its end."""
    try:
        plain.recv(sock, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def suits(sock):
    return sock.type == socket.SOCK_STREAM and sock.family in (socket.AF_INET, socket.AF_INET6) and sock.proto in (0, 6)


def install():
    """Every connection that this process makes to itself from now on; returns the count."""
    warmth = Warmth()
    plain_accept = socket.socket.accept

    def accept(self):
        server, name = plain_accept(self)
        if suits(server):
            warmth.accepted(server, name)
        return server, name

    def connect(self, address):
        try:
            plain.connect(self, address)
        except BlockingIOError:
            if suits(self):
                warmth.connected(self, False)
            raise
        if suits(self):
            warmth.connected(self, self.gettimeout() != 0)

    socket.socket.accept, socket.socket.connect = accept, connect
    return warmth
