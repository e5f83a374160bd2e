"""Sockets of Catmint as PDPIX queues: attempts at operations, under the libOS's lock.

Below each is a socket of the kernel, which has the address. No message goes through it: by it the two ends find each
other (libos/rendezvous.py), and its end is the end of the other process.
"""

import os
import socket as kernel

from libos.errors import Fail, Kind
from libos.fabric import structs
from libos.message_queue import MessageQueue
from libos.mint_opening import Call, Listening
from libos.mint_push import Push
from libos.sgarray import SGArray


class MintQueue(MessageQueue):
    """`peer_address`: Python's socket address of the other end."""

    def __init__(self, libos, sock, at=0, peer_address=None):
        super().__init__(libos.catmint, libos.heap)
        self.libos = libos
        self.socket = sock
        self.listening = self.calling = None
        if at:
            self.join(at, peer_address)

    def join(self, at, peer_address):
        """It is a connection now."""
        self.at = at
        self.peer_address = peer_address
        self.libos.by_record[at] = self
        self.libos.device.watch(self.socket, self.heard)

    @property
    def domain(self):
        return self.socket.family

    def fileno(self):
        """The number of the kernel socket below."""
        return self.socket.fileno()

    def told(self):
        """The core has news of it."""
        self.libos.let_go(self.at)
        self.libos.wake_inbound(self)
        self.libos.wake_outbound(self)

    def heard(self):
        """The TCP connection has ended, and with it the other end. What it has sent by the fabric was there before."""
        self.libos.device.forget(self.socket)
        for _ in range(64):
            if not self.libos.catmint.turn():
                break
        if structs.connection(self.at).flags & structs.PEER_ENDED:
            self.alone = True
        else:
            self.libos.catmint.machine.lost(self.at)
        self.told()

    def connection(self):
        """The record's address. Raises NOT_CONNECTED."""
        if not self.at:
            raise Fail(Kind.NOT_CONNECTED)
        return self.at

    def pushing(self, sga, address=None):
        """Attempts to give all of `sga` to the connection. Done when its memory is the caller's again."""
        if address is not None:
            raise Fail(Kind.UNSUPPORTED, "Catmint has no datagrams")
        push = Push(self.libos, sga)

        def attempt():
            at = self.connection()
            if self.alone:
                raise Fail(Kind.RESET)
            return (len(sga), None, None) if push.advance(at) else None

        return attempt

    def take(self):
        """The next message, empty at the end; None while there is none. Raises Fail."""
        if self.rest is not None:
            sga, self.rest = self.rest, None
            return sga
        return self.libos.taken(self.connection()) if self.reading else SGArray([])

    def popping(self, size):
        """A message is one element, whatever `size` is."""

        def attempt():
            sga = self.take()
            return None if sga is None else (len(sga), sga, None)

        return attempt

    def accepting(self):
        if self.listening is None:
            raise Fail(Kind.INVALID, "not a listening socket")

        def attempt():
            answer = self.listening.take()
            if answer is None:
                return None
            return self.libos.add(MintQueue(self.libos, answer.sock, answer.at, answer.peer)), None, answer.peer

        return attempt

    def connecting(self, address):
        if self.at or self.calling is not None or self.listening is not None:
            raise Fail(Kind.INVALID, "connected already")

        def attempt():
            if self.calling is None:
                self.call(address)
            return (0, None, None) if self.advance() else None

        return attempt

    def advance(self):
        """What a call can do now: whether it is a connection. Raises OSError, Fail when nothing will come of it."""
        if not self.reached():
            return False
        try:
            if not self.calling.step():
                return False
        except Fail:
            self.hang_up()
            raise
        self.libos.device.forget(self.socket)
        self.calling.end()
        self.join(self.calling.at, self.socket.getpeername())
        self.calling = None
        return True

    def call(self, address):
        """Have the kernel connect."""
        r = self.socket.connect_ex(address)
        if r and not kernel_is_busy(r):
            raise OSError(r, os.strerror(r))
        self.calling = Call(self.libos, self)
        self.libos.device.watch(self.socket, self.calling.heard, True)

    def reached(self):
        """Whether the TCP connection is there. Raises OSError."""
        if self.calling.said:
            return True
        error = self.socket.getsockopt(kernel.SOL_SOCKET, kernel.SO_ERROR)
        if error:
            self.hang_up()
            raise OSError(error, os.strerror(error))
        try:
            self.socket.getpeername()
        except OSError:
            return False
        self.libos.device.watch(self.socket, self.calling.heard)
        return True

    def hang_up(self):
        """Nothing comes of the call."""
        calling, self.calling = self.calling, None
        calling.end()
        self.libos.device.forget(self.socket)
        if calling.at:
            self.libos.catmint.machine.abort(calling.at)
            self.libos.leave(calling.at)

    def bind(self, address):
        self.libos.kernel(self.socket.bind, address)

    def listen(self, backlog):
        self.libos.kernel(self.socket.listen, backlog)
        if self.listening is None:
            self.listening = Listening(self.libos, self, backlog)

    def ready(self, mask):
        if self.listening is not None:
            return mask & 1 if self.listening.ready else 0
        if not self.at:
            return 0
        have = self.libos.catmint.machine.ready(self.at)
        if have & structs.FAILED:
            return mask
        readable = have & structs.READABLE or self.rest is not None or not self.reading
        return mask & ((1 if readable else 0) | (2 if have & structs.WRITABLE or self.alone else 0))

    def peek(self, size):
        self.rest = self.take()
        return b"" if self.rest is None else bytes(self.rest)[:size]

    def pop_into(self, buffer):
        view = memoryview(buffer).cast("B")
        sga = self.take()
        if sga is None:
            raise Fail(Kind.WOULD_BLOCK)
        if not sga.segments:
            return 0
        whole = sga.segments[0]
        size = min(len(view), len(whole))
        view[:size] = whole[:size]
        if size == len(whole):
            sga.free()
        else:
            sga.segments[0] = whole[size:]
            self.rest = sga
        return size

    def pending(self):
        return (len(self.rest) if self.rest is not None else 0) + self.libos.catmint.machine.pending(self.connection())

    def name(self):
        return self.libos.kernel(self.socket.getsockname)

    def peer(self):
        self.connection()
        return self.peer_address

    def set_option(self, level, option, value):
        """Those of the TCP connection."""
        self.libos.kernel(self.socket.setsockopt, level, option, value)

    def option(self, level, option):
        return self.libos.kernel(self.socket.getsockopt, level, option)

    def shutdown(self, how):
        if how != kernel.SHUT_RD:
            self.libos.catmint.machine.shutdown(self.connection())
        if how != kernel.SHUT_WR:
            self.connection()
            self.reading = False
        self.libos.wake_inbound(self)

    def blocked(self, direction):
        """The core tells of every record anyway."""

    def close(self):
        if self.listening is not None:
            self.listening.close()
        elif self.calling is not None:
            self.hang_up()
        elif self.at:
            return self.part()
        self.libos.device.forget(self.socket)
        self.socket.close()

    def part(self):
        """Close a connection. Its TCP connection stays until the other end knows."""
        machine = self.libos.catmint.machine
        if self.alone:
            machine.lost(self.at)
        if self.rest is not None and self.rest.segments:  # something is left unread
            self.rest.free()
            machine.abort(self.at)
        else:
            machine.close(self.at)
        self.libos.leave(self.at, self.socket)
        self.libos.flush()


def kernel_is_busy(number):
    """Whether connect(2) goes on by itself."""
    return isinstance(OSError(number, ""), BlockingIOError)
