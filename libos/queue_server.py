"""Listening queues of a libOS as asyncio's server."""

import asyncio
import socket

from libos.queue_transport import QueueSocket, QueueTransport


class QueueServer(asyncio.AbstractServer):
    """`bind` each address, then start. As asyncio.Server: closing ends the listening, not the connections."""

    def __init__(self, loop, libos, protocol_factory, backlog):
        self.loop, self.libos, self.protocol_factory, self.backlog = loop, libos, protocol_factory, backlog
        self.listeners = []
        self.serving = False
        self.closed = False
        self.active = 0
        self.waiters = []
        self.forever = None

    def bind(self, family, address, reuse_address, reuse_port):
        """One more address to listen at. Raises Fail."""
        qd = self.libos.socket(family, socket.SOCK_STREAM)
        self.listeners.append(qd)
        if reuse_address:
            self.libos.setsockopt(qd, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            self.libos.setsockopt(qd, socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            self.libos.setsockopt(qd, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.libos.bind(qd, address)

    @property
    def sockets(self):
        return tuple(QueueSocket(self.libos, qd) for qd in self.listeners)

    def get_loop(self):
        return self.loop

    def is_serving(self):
        return self.serving

    async def start_serving(self):
        if self.serving or self.closed:
            return
        self.serving = True
        for qd in self.listeners:
            self.libos.listen(qd, self.backlog)
            self.accept(qd)

    def accept(self, qd):
        self.loop.when(self.libos, self.libos.accept(qd), lambda result: self.accepted(qd, result))

    def accepted(self, qd, result):
        if result.error is not None:
            if not self.closed:  # no descriptor left, for example: the others may give some back
                self.loop.call_later(1, self.again, qd)
            return
        if self.closed:
            return self.libos.close(result.value)
        self.libos.setsockopt(result.value, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.active += 1
        QueueTransport(self.loop, self.libos, result.value, self.protocol_factory(), self)
        self.accept(qd)

    def again(self, qd):
        if not self.closed:
            self.accept(qd)

    def left(self):
        """A connection of ours has ended."""
        self.active -= 1
        self.wake()

    def wake(self):
        if self.closed and not self.active:
            for waiter in self.waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self.waiters.clear()

    def close(self):
        if self.closed:
            return
        self.closed, self.serving = True, False
        for qd in self.listeners:
            self.libos.close(qd)
        self.listeners.clear()
        if self.forever is not None and not self.forever.done():
            self.forever.cancel()
        self.wake()

    async def wait_closed(self):
        if self.closed and not self.active:
            return
        waiter = self.loop.create_future()
        self.waiters.append(waiter)
        await waiter

    async def serve_forever(self):
        if self.forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if self.closed:
            raise RuntimeError(f"server {self!r} is closed")
        await self.start_serving()
        self.forever = self.loop.create_future()
        try:
            await self.forever
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self.forever = None
