"""Catnap's PDPIX calls for Python programs: kernel TCP and UDP sockets, IPv4 and IPv6, one epoll set."""

import os
import select
import socket as kernel

from libos.errors import Fail, Kind
from libos.pdpix import ACCEPT, CONNECT, INBOUND, OUTBOUND, LibOS
from libos.runtime import scheduler, suspend
from libos.runtime.memory import Heap
from libos.sgarray import SGArray

FAMILIES = (kernel.AF_INET, kernel.AF_INET6)
TYPES = (kernel.SOCK_STREAM, kernel.SOCK_DGRAM)
IOV_MAX = 1024


class SocketQueue:
    """A non-blocking kernel socket and the epoll interest its blocked operations have."""

    def __init__(self, libos, sock):
        self.libos = libos
        self.socket = sock
        self.interest = 0

    @property
    def domain(self):
        return self.socket.family

    def fileno(self):
        """The descriptor of the kernel socket below."""
        return self.socket.fileno()

    def pushing(self, sga, address=None):
        """Attempts to send all of `sga`; keeps its place between them."""
        left = [s for s in sga.segments if len(s)]

        def attempt():
            sent = 0
            try:
                while left:
                    n = self.socket.sendmsg(left[:IOV_MAX], (), kernel.MSG_NOSIGNAL, *([address] if address else []))
                    sent += n
                    while left and n >= len(left[0]):
                        n -= len(left.pop(0))
                    if n:
                        left[0] = left[0][n:]
            except BlockingIOError:
                return None
            return len(sga), None, None

        return attempt

    def popping(self, size):
        def attempt():
            sga = SGArray.alloc(self.libos.heap, size)
            try:
                n, address = self.socket.recvfrom_into(sga.segments[0])
            except BlockingIOError:
                sga.free()
                return None
            except BaseException:
                sga.free()
                raise
            sga.trim(n)
            return n, sga, address

        return attempt

    def accepting(self):
        def attempt():
            try:
                sock, address = self.socket.accept()
            except BlockingIOError:
                return None
            sock.setblocking(False)
            return self.libos.add(self.accepted(sock)), None, address

        return attempt

    def accepted(self, sock):
        return SocketQueue(self.libos, sock)

    def taken(self):
        """It has been connected elsewhere."""

    def connecting(self, address):
        started = False

        def attempt():
            nonlocal started
            if not started:
                started = True
                try:
                    self.socket.connect(address)
                    return 0, None, None
                except BlockingIOError:
                    return None
            if not self.ready(2):
                return None
            error = self.socket.getsockopt(kernel.SOL_SOCKET, kernel.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            return 0, None, None

        return attempt

    def ready(self, mask):
        """Which of READABLE (1) and WRITABLE (2) would not block; an error or end counts as both."""
        poll = select.poll()
        poll.register(self.socket, (select.POLLIN if mask & 1 else 0) | (select.POLLOUT if mask & 2 else 0))
        for _, events in poll.poll(0):
            if events & (select.POLLERR | select.POLLHUP):
                return mask
            return (1 if events & select.POLLIN else 0) | (2 if events & select.POLLOUT else 0)
        return 0

    def peek(self, size):
        """At most `size` bytes, left where they are. Raises BlockingIOError."""
        return self.socket.recv(size, kernel.MSG_PEEK)

    def pop_into(self, buffer):
        """Into the caller's memory: a count. Raises BlockingIOError."""
        return self.socket.recv_into(buffer)

    def pending(self):
        """Bytes that a pop would find now (tcp(7), SIOCINQ)."""
        from fcntl import ioctl
        from termios import FIONREAD

        return int.from_bytes(ioctl(self.socket, FIONREAD, bytes(4)), "little")

    def blocked(self, direction):
        """An operation waits: ask the device to look at this side."""
        wanted = self.interest | self.wanted(direction)
        if wanted != self.interest:
            self.libos.device.watch(self, wanted)

    def wanted(self, direction):
        """The epoll events that a wait in this direction asks for."""
        return select.EPOLLOUT if direction == OUTBOUND else select.EPOLLIN

    def shutdown(self, how):
        self.socket.shutdown(how)

    def close(self):
        if self.interest:
            self.libos.device.watch(self, 0)
        self.socket.close()


class EpollDevice:
    """All sockets with blocked operations in one epoll set; an eventfd rings threads that sleep in it."""

    def __init__(self, libos):
        self.libos = libos
        self.epoll = select.epoll()
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        self.epoll.register(self.bell, select.EPOLLIN)
        self.by_fd = {}
        self.events = []
        libos.scheduler.spawn(scheduler.FAST_PATH, self.fast_path())

    def watch(self, queue, interest):
        """Set a queue's epoll interest; 0 removes it."""
        fd = queue.socket.fileno()
        if not queue.interest:
            self.epoll.register(fd, interest)
            self.by_fd[fd] = queue
        elif interest:
            self.epoll.modify(fd, interest)
        else:
            self.epoll.unregister(fd)
            del self.by_fd[fd]
        queue.interest = interest

    def fast_path(self):
        """The fast-path I/O coroutine: events that a poll brought become waker bits."""
        again = suspend.until_next_turn()
        while True:
            events, self.events = self.events, []
            for fd, mask in events:
                queue = self.by_fd.get(fd)
                if queue is None:
                    continue
                failed = mask & (select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP)
                if mask & select.EPOLLIN or failed:
                    self.libos.wake(queue, INBOUND)
                if mask & select.EPOLLOUT or failed:
                    self.libos.wake(queue, OUTBOUND)
                self.settle(queue)
            yield from again

    def settle(self, queue):
        """Level-triggered: a side nobody waits on any more must not report for ever."""
        interest = queue.wanted(INBOUND) if queue.waiting[INBOUND] else 0
        interest |= queue.wanted(OUTBOUND) if queue.waiting[OUTBOUND] else 0
        if interest != queue.interest:
            self.watch(queue, interest)

    def poll(self, timeout):
        """Look for I/O for at most `timeout` nanoseconds, None for ever, and run the fast path."""
        seconds = -1 if timeout is None else timeout / 1e9
        events = self.epoll.poll(seconds)
        with self.libos.lock:
            for event in events:
                if event[0] in self.by_fd:
                    self.events.append(event)
                else:
                    self.heard(event[0])
            while self.events:  # another libOS's fast path may be the first
                self.libos.scheduler.run_one(True)

    def heard(self, fd):
        """An event of none of the queues: the bell, or a queue that was closed meanwhile."""
        if fd == self.bell:
            try:
                os.eventfd_read(self.bell)
            except BlockingIOError:
                pass

    def fileno(self):
        """Readable while there is something for `poll`: for whoever sleeps elsewhere, between `doze` and `rouse`."""
        return self.epoll.fileno()

    def doze(self):
        """Somebody is about to sleep on `fileno`: at most so many ns, None for ever."""
        return None

    def rouse(self):
        """He is awake."""

    def ring(self, sleepers):
        """Wake that many sleeping threads."""
        os.eventfd_write(self.bell, sleepers)

    def __del__(self):
        if hasattr(self, "bell"):
            os.close(self.bell)
            self.epoll.close()


class CatnapLibOS(LibOS):
    """PDPIX over kernel sockets. Addresses are Python's (host, port) and (host, port, flow, scope).

    `address`: where other programs of this machine find this one's sockets.
    """

    address = "127.0.0.1"
    Queue = SocketQueue
    Device = EpollDevice

    def __init__(self, heap: Heap | None = None, clock=None, beside: LibOS | None = None) -> None:
        super().__init__(heap, clock, beside=beside)
        self.over(self.Device(self))

    def socket(self, domain: int, kind: int, protocol: int = 0) -> int:
        """A new socket's qd (socket(2)). Raises UNSUPPORTED beyond TCP and UDP over IPv4 and IPv6."""
        if domain not in FAMILIES or kind not in TYPES:
            raise Fail(Kind.UNSUPPORTED, f"socket({domain}, {kind}, {protocol})")
        sock = self.kernel(kernel.socket, domain, kind, protocol)
        sock.setblocking(False)
        return self.add(self.Queue(self, sock))

    def take(self, sock: kernel.socket) -> int:
        """The qd of a socket that the program has made itself and gives away: one that listens, or a connection."""
        if sock.family not in FAMILIES or sock.type not in TYPES:
            raise Fail(Kind.UNSUPPORTED, f"{sock!r}")
        sock.setblocking(False)
        queue = self.Queue(self, sock)
        if sock.type == kernel.SOCK_STREAM and not sock.getsockopt(kernel.SOL_SOCKET, kernel.SO_ACCEPTCONN):
            queue.taken()
        return self.add(queue)

    def socket_of(self, qd):
        queue = self.queue_of(qd)
        if not isinstance(queue, SocketQueue):
            raise Fail(Kind.UNSUPPORTED, f"queue {qd} is not a socket")
        return queue

    def kernel(self, call, *arguments):
        try:
            return call(*arguments)
        except OSError as error:
            raise Fail.of_kernel(error)

    def bind(self, qd: int, address: tuple) -> None:
        """bind(2). Raises IN_USE, INVALID, BAD_QUEUE."""
        self.kernel(self.socket_of(qd).socket.bind, address)

    def listen(self, qd: int, backlog: int = 128) -> None:
        """listen(2). Raises IN_USE, INVALID, UNSUPPORTED."""
        self.kernel(self.socket_of(qd).socket.listen, backlog)

    def accept(self, qd: int) -> int:
        """A qtoken whose result has the new connection's qd as `value` and its peer as `address`."""
        queue = self.socket_of(qd)
        return self.start(ACCEPT, queue, INBOUND, queue.accepting())

    def connect(self, qd: int, address: tuple) -> int:
        """A qtoken that completes when connected, or fails with REFUSED and the like."""
        queue = self.socket_of(qd)
        return self.start(CONNECT, queue, OUTBOUND, queue.connecting(address))

    def getsockname(self, qd: int) -> tuple:
        """The local address (getsockname(2))."""
        return self.kernel(self.socket_of(qd).socket.getsockname)

    def getpeername(self, qd: int) -> tuple:
        """The peer's address (getpeername(2)). Raises NOT_CONNECTED."""
        return self.kernel(self.socket_of(qd).socket.getpeername)

    def setsockopt(self, qd: int, level: int, option: int, value: int | bytes) -> None:
        """setsockopt(2); `value` an int or bytes."""
        self.kernel(self.socket_of(qd).socket.setsockopt, level, option, value)

    def getsockopt(self, qd: int, level: int, option: int, size: int = 0) -> int | bytes:
        """getsockopt(2): an int, or `size` bytes."""
        return self.kernel(self.socket_of(qd).socket.getsockopt, level, option, *([size] if size else []))

    def shutdown(self, qd: int, how: int) -> None:
        """shutdown(2): SHUT_RD, SHUT_WR, SHUT_RDWR. Raises NOT_CONNECTED."""
        self.kernel(self.socket_of(qd).shutdown, how)

    def peek(self, qd: int, size: int = 65536) -> bytes:
        """Bytes that the next pop would take, left where they are; b"" when there are none."""
        try:
            return self.socket_of(qd).peek(size)
        except BlockingIOError:
            return b""

    def pending(self, qd: int) -> int:
        """How many bytes are there to pop."""
        return self.socket_of(qd).pending()

    def pop_into(self, qd: int, buffer: bytearray | memoryview) -> int:
        """Pop inline into the caller's buffer: a count, 0 at the end of the stream. Raises WOULD_BLOCK."""
        try:
            return self.socket_of(qd).pop_into(buffer)
        except BlockingIOError:
            raise Fail(Kind.WOULD_BLOCK)
        except OSError as error:
            raise Fail.of_kernel(error)
