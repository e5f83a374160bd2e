"""Posts: what the owner of a network has for datagram sockets of the other processes of its tree, and for those of its
own that it shares with them (libos/letters.py). Each is a kernel UDP socket of ours, connected over loopback to the
program's.
"""

import _socket

from libos import letters, listeners, own_socket
from libos.crossing import LOOPBACK
from libos.net import structs, udp_user

COMPILED = __file__.endswith(".so")
BUFFER = 1 << 20  # octets that may wait to go out
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33


class Post:
    """Of the record `record`, under a socket of that family. `line`: to the member that has asked for it, None for
    none. Raises OSError.
    """

    def __init__(self, network, record, family, line=None):
        self.network = network
        self.line = line
        self.record = record
        self.family = family
        self.where = 0  # the port of the program's socket
        letters.here().begin(network.tree.key(), network.shown[2])
        sock = own_socket.made(family, _socket.SOCK_DGRAM)
        for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
            try:
                sock.setsockopt(_socket.SOL_SOCKET, option, BUFFER)
            except OSError:
                pass  # not root: the system's bound it is
        sock.bind((LOOPBACK[family], 0))
        self.sock = own_socket.raised(sock)
        self.port = self.sock.getsockname()[1]
        network.posts[record] = self

    def reach(self, port):
        """The program's socket has this port on loopback. What came before goes there now. Raises OSError."""
        self.sock.connect((LOOPBACK[self.family], port))
        if self.where == 0:
            self.network.watch(self.sock, self)
        self.where = port
        with self.network.locked() as gateway:
            structs.udp(self.record).user = letters.of_post(self.sock.fileno())
            gateway.catnip.host.changed(self.record, structs.udp_size())
            gateway.deliver(self.record)

    def heard(self):
        """Letters from the program, or word that there is nobody."""
        with self.network.locked() as gateway:
            r = gateway.collect(self.record, self.sock.fileno())
        if r:
            self.sweep()

    def sweep(self):
        """Nobody may have the program's socket any more."""
        if self.where and self.record in self.network.posts:
            try:
                held = listeners.there(self.family, _socket.IPPROTO_UDP, self.where, listeners.ANY)
            except OSError:
                return  # the kernel does not say; whoever lets go of it tells us
            if not held:
                self.over()

    def over(self):
        """The program has closed its socket: what it has sent still goes."""
        network = self.network
        if network.posts.pop(self.record, None) is None:
            return
        with network.locked() as gateway:
            if self.where:
                gateway.collect(self.record, self.sock.fileno())
            udp_user.close(gateway.udp, self.record)
        if self.where:
            network.unwatch(self.sock)
        self.sock.close()
