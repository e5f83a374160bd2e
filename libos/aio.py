"""An asyncio event loop whose TCP connections are queues of libOSes.

    loop = Loop(native("catloop"), {8081: native("catnap")})

Existing asyncio code runs on it as it is: streams, protocols and servers that ask the loop for connections get queues
of the libOS of their port, or of the first one. What only kernel sockets have (TLS, datagrams, subprocesses) is
asyncio's own. `await loop.completion(libos, qtoken)` waits for any qtoken.
"""

import asyncio
import selectors
import socket
import threading
import weakref
from collections.abc import Callable

from libos.errors import Fail, Kind
from libos.operation import Result
from libos.pdpix import LibOS
from libos.queue_server import QueueServer
from libos.queue_transport import QueueTransport, as_oserror


class Selector(selectors.DefaultSelector):
    """The loop's own selector; before it sleeps the libOSes run what is ready, and say that they are to be woken."""

    def __init__(self, liboses):
        super().__init__()
        self.liboses = liboses

    def select(self, timeout=None):
        resting = [libos for libos in self.liboses if not progressed(libos, True)]
        try:
            if len(resting) < len(self.liboses):
                timeout = 0
            limits = [libos.device.doze() for libos in resting]
            for limit in limits:
                if limit is not None and (timeout is None or timeout > limit / 1e9):
                    timeout = limit / 1e9
            return super().select(timeout)
        finally:
            for libos in resting:
                libos.device.rouse()
                with libos.lock:
                    libos.shared.sleepers -= 1


def progressed(libos, resting=False):
    """Let a libOS look at its device and run what is ready. True when something ran.

    `resting`: if not, the caller is going to sleep, and whoever completes something from then on rings.
    """
    libos.device.poll(0)
    with libos.lock:
        ran = libos.turn()
        while ran and libos.turn():
            pass
        if resting and not ran:
            libos.shared.sleepers += 1
    return ran


class Loop(asyncio.SelectorEventLoop):
    """`libos` serves all ports but those of `by_port`, {port: libOS}; each is this loop's alone."""

    def __init__(self, libos: LibOS, by_port: dict[int, LibOS] | None = None) -> None:
        self.libos = libos
        self.by_port = dict(by_port or {})
        self.standing: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
        liboses = list({id(one): one for one in (libos, *self.by_port.values())}.values())
        super().__init__(Selector(liboses))
        for one in liboses:
            self.add_reader(one.device.fileno(), progressed, one)

    def libos_of(self, port: int) -> LibOS:
        return self.by_port.get(port, self.libos)

    def when(self, libos: LibOS, qtoken: int, callback: Callable[[Result], None]) -> None:
        """Have `callback(result)` called by the loop when an operation is complete."""
        thread = threading.get_ident()

        def completed(result):
            if threading.get_ident() == thread:
                self.call_soon(callback, result)
            else:
                self.call_soon_threadsafe(callback, result)

        result = libos.detach(qtoken, completed)
        if result is not None:
            self.call_soon(callback, result)

    async def completion(self, libos: LibOS, qtoken: int) -> Result:
        """The result of an operation, of any kind. Cancelled, it takes the operation back; what that has popped by then
        is freed. Raises INVALID for a token that isn't live.
        """
        waiting = self.create_future()

        def completed(result):
            if not waiting.done():
                waiting.set_result(result)
            elif result.sga is not None:
                result.sga.free()

        self.when(libos, qtoken, completed)
        try:
            return await waiting
        except asyncio.CancelledError:
            libos.cancel(qtoken)
            if waiting.done() and not waiting.cancelled() and waiting.result().sga is not None:
                waiting.result().sga.free()
            raise

    def takes(self, sock, address):
        """Whether a socket that a program has made becomes a queue."""
        return ours(sock) and hasattr(self.libos_of(address[1]), "take")

    async def sock_connect(self, sock, address):
        """As asyncio's. Where the libOS has nothing to do with the kernel's network, the socket only stands for a queue
        that is connected; create_connection gives that to its protocol.
        """
        if not ours(sock) or self.takes(sock, address):
            return await super().sock_connect(sock, address)
        libos = self.libos_of(address[1])
        qd = await self.connected(libos, sock.family, sock.type, sock.proto, address, None)
        forsaken = weakref.finalize(sock, libos.close, qd)
        forsaken.atexit = False
        self.standing[sock] = libos, qd, forsaken

    async def create_connection(self, protocol_factory, host=None, port=None, **options):
        """As asyncio's (BaseEventLoop.create_connection); `family`, `proto`, `flags` and `local_addr` as there."""
        sock = options.get("sock")
        if sock in self.standing:
            libos, qd, forsaken = self.standing.pop(sock)
            if options.get("ssl"):
                raise as_oserror(Fail(Kind.UNSUPPORTED))  # TLS is kernel sockets' alone
            forsaken.detach()
            sock.close()
            return await self.joined(libos, qd, protocol_factory)
        if options.get("ssl") or (port is None if sock is None else not self.takes(sock, sock.getpeername())):
            return await super().create_connection(protocol_factory, host, port, **options)
        if sock is not None:
            libos = self.libos_of(sock.getpeername()[1])
            return await self.joined(libos, libos.take(sock), protocol_factory)
        names = ("family", "proto", "flags")
        hints = {name: options[name] for name in names if name in options}
        libos, failure = self.libos_of(port), None
        for family, kind, proto, _, address in await self.getaddrinfo(host, port, type=socket.SOCK_STREAM, **hints):
            try:
                qd = await self.connected(libos, family, kind, proto, address, options.get("local_addr"))
            except OSError as error:
                failure = error
            else:
                return await self.joined(libos, qd, protocol_factory)
        raise failure or OSError("getaddrinfo() returned empty list")

    async def joined(self, libos, qd, protocol_factory):
        """(transport, protocol) of a new connection, once the protocol has been told."""
        protocol = protocol_factory()
        transport = QueueTransport(self, libos, qd, protocol)
        told = self.create_future()
        self.call_soon(told.set_result, None)
        await told
        return transport, protocol

    async def connected(self, libos, family, kind, proto, address, local):
        """The qd of a new connection. Raises OSError."""
        try:
            qd = libos.socket(family, kind, proto)
            try:
                if local:
                    libos.bind(qd, local)
                result = await self.completion(libos, libos.connect(qd, address))
                if result.error:
                    raise result.error
                libos.setsockopt(qd, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except BaseException:
                libos.close(qd)
                raise
        except Fail as fail:
            raise as_oserror(fail)
        return qd

    async def create_server(self, protocol_factory, host=None, port=None, **options):
        """As asyncio's (BaseEventLoop.create_server), on the libOS of the port."""
        sock = options.get("sock")
        if options.get("ssl") or (port is None if sock is None else not self.takes(sock, sock.getsockname())):
            return await super().create_server(protocol_factory, host, port, **options)
        libos = self.libos_of(port if sock is None else sock.getsockname()[1])
        server = QueueServer(self, libos, protocol_factory, options.get("backlog", 100))
        try:
            if sock is not None:
                server.listeners.append(libos.take(sock))
            else:
                for family, _, _, _, address in await self.addresses(host, port, options):
                    server.bind(family, address, options.get("reuse_address", True), options.get("reuse_port"))
        except Fail as fail:
            server.close()
            raise as_oserror(fail)
        if options.get("start_serving", True):
            await server.start_serving()
        return server

    async def addresses(self, host, port, options):
        """What getaddrinfo(3) says of one host or several, each address once."""
        hints = {"family": options.get("family", 0), "flags": options.get("flags", socket.AI_PASSIVE)}
        found = set()
        for name in [host or None] if host is None or isinstance(host, str) else host:
            found.update(await self.getaddrinfo(name, port, type=socket.SOCK_STREAM, **hints))
        return sorted(found)


def ours(sock):
    """Whether a socket that a program has made is one that a libOS takes."""
    return sock.type == socket.SOCK_STREAM and sock.family in (socket.AF_INET, socket.AF_INET6)
