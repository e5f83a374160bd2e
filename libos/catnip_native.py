"""Catnip's PDPIX calls for Python programs: TCP and UDP, IPv4 and IPv6, by a stack of our own over a frame device.

A thread of the libOS, the keeper, sees to timers, acknowledgments and retransmissions while the program computes.
"""

import ipaddress
import os
import select
import socket as kernel
import threading

from libos import net_config
from libos.errors import Fail, Kind
from libos.net import udp_user
from libos.net.tcp import user
from libos.net_queue import NetDatagramQueue, NetQueue
from libos.pdpix import ACCEPT, CONNECT, INBOUND, OUTBOUND, LibOS
from libos.runtime.memory import Heap

SPIN = 20000  # ns
SHORTEST, LONGEST = 5, 100  # ms that the keeper sleeps while the program looks itself, or sleeps in a wait
FAMILIES = {kernel.AF_INET: 4, kernel.AF_INET6: 6}


class NetDevice:
    """The stack and its device, as what a libOS polls: an epoll set of the device's bell and one of our own."""

    def __init__(self, libos):
        self.libos = libos
        self.catnip = libos.catnip
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.epoll = select.epoll()
        self.epoll.register(self.bell, select.EPOLLIN)
        if self.catnip.device.bell() >= 0:
            self.epoll.register(self.catnip.device.bell(), select.EPOLLIN)
        self.looks = 0

    def look(self):
        """One turn, and who waited for what it brought. True when there was anything."""
        with self.libos.lock:
            self.looks += 1
            found = self.catnip.turn(self.catnip.tick())
            for events in (self.catnip.stack.tcp, self.catnip.stack.udp):
                while at := events.next_event():
                    queue = self.libos.by_record.get(at)
                    if queue is not None and hasattr(queue, "waiting"):
                        found = True
                        self.libos.wake(queue, INBOUND)
                        self.libos.wake(queue, OUTBOUND)
            return found

    def poll(self, timeout):
        """Look for I/O for at most `timeout` nanoseconds, None for ever: spins for a moment, then sleeps."""
        limit = self.libos.clock.now() + (SPIN if timeout is None else min(timeout, SPIN))
        while not self.look():
            if self.libos.clock.now() >= limit:
                return self.sleep(timeout)

    def sleep(self, timeout):
        limit = self.doze()
        try:
            nearest = min((one for one in (timeout, limit) if one is not None), default=None)
            self.epoll.poll(-1 if nearest is None else nearest / 1e9)
        finally:
            self.rouse()
        self.look()

    def fileno(self):
        """Readable while there is something for `poll`: for whoever sleeps elsewhere, between `doze` and `rouse`."""
        return self.epoll.fileno()

    def doze(self):
        """Have the bell rung, and look for the last time: how many ns may be slept, None for ever."""
        with self.libos.lock:
            if not self.catnip.device.arm():
                return 0
            now = self.catnip.tick()
            due = self.catnip.deadline(now)
            return max(due - now, 0) if due else None

    def rouse(self):
        with self.libos.lock:
            self.catnip.device.disarm()
            try:
                os.eventfd_read(self.bell)
            except BlockingIOError:
                pass

    def ring(self, sleepers):
        """Wake the threads that sleep in poll."""
        os.eventfd_write(self.bell, 1)


class Keeper(threading.Thread):
    """Carries on while no thread of the program is in a wait or has been there a moment ago; else it sleeps longer and
    longer.
    """

    def __init__(self, device):
        super().__init__(name="catnip", daemon=True)
        self.device = device
        self.ended = os.eventfd(0, os.EFD_CLOEXEC)
        self.start()

    def run(self):
        resting = select.poll()
        resting.register(self.ended, select.POLLIN)
        serving = select.poll()
        serving.register(self.ended, select.POLLIN)
        if self.device.catnip.device.bell() >= 0:
            serving.register(self.device.catnip.device.bell(), select.POLLIN)
        looks, rest = -1, SHORTEST
        while True:
            while looks != self.device.looks or self.device.libos.sleepers:
                looks = self.device.looks
                if resting.poll(rest):
                    return
                rest = min(2 * rest, LONGEST) if looks == self.device.looks else SHORTEST
            self.device.look()
            looks = self.device.looks
            if not self.device.libos.sleepers:
                limit = self.device.doze()
                heard = serving.poll(None if limit is None else -(-limit // 1000000))
                self.device.rouse()
                if any(fd == self.ended for fd, _ in heard):
                    return
            if self.device.libos.sleepers:  # who has gone to sleep meanwhile knows nothing of what was heard here
                self.device.ring(self.device.libos.sleepers)

    def stop(self):
        os.eventfd_write(self.ended, 1)
        self.join()
        os.close(self.ended)


class CatnipLibOS(LibOS):
    """PDPIX over a network stack of our own. `device`: a FrameDevice, by default a port of the segment `segment`;
    `addresses`: (packed, prefix length) of each of this host's, by default those that come with the port. `address`:
    the first of them, as text. `gateway`, `routes`, `mtu` and `neighbours` as the knobs of these names
    (docs/configuration.md).
    """

    def __init__(
        self,
        heap: Heap | None = None,
        clock=None,
        beside: LibOS | None = None,
        device=None,
        addresses: tuple | None = None,
        segment: str = "default",
        gateway: str | None = None,
        routes: str | None = None,
        mtu: int | None = None,
        neighbours: str | None = None,
    ) -> None:
        super().__init__(heap, clock, beside=beside)
        if device is None:
            device = net_config.segment(segment, mtu)
            addresses = addresses or net_config.allotted(device)
        self.address = str(ipaddress.ip_address(addresses[0][0])) if addresses else ""
        self.catnip = net_config.over(device, addresses or (), gateway, routes, mtu, neighbours)
        self.by_record: dict[int, NetQueue] = {}
        self.over(NetDevice(self))
        self.keeper = Keeper(self.device)

    def shut(self) -> None:
        """Leave the network: what is open is reset."""
        self.keeper.stop()
        with self.lock:
            for qd in [qd for qd, queue in self.queues.items() if isinstance(queue, NetQueue)]:
                self.close(qd)
            self.catnip.turn(self.catnip.tick())
            self.catnip.close()

    def install(self, name, wrapper):
        """Put `wrapper(device)` in the place of the device, as instrument.install of that name ("device") does."""
        if name != "device":
            raise Fail(Kind.INVALID, f"no such hook: {name!r}; there is device")
        with self.lock:
            self.catnip.device = wrapper(self.catnip.device)

    def now(self):
        """The stack is told the time before each of its calls."""
        self.catnip.tick()

    def flush(self):
        """What a call has made goes out at once."""
        self.catnip.flush(self.catnip.host.now)

    def socket(self, domain: int, kind: int, protocol: int = 0) -> int:
        """A new socket's qd (socket(2)). Raises UNSUPPORTED beyond TCP and UDP over IPv4 and IPv6, NO_MEMORY."""
        if domain not in FAMILIES or kind not in (kernel.SOCK_STREAM, kernel.SOCK_DGRAM):
            raise Fail(Kind.UNSUPPORTED, f"socket({domain}, {kind}, {protocol})")
        family, stack = FAMILIES[domain], self.catnip.stack
        with self.lock:
            stream = kind == kernel.SOCK_STREAM
            at = user.open(stack.tcp, family) if stream else udp_user.open(stack.udp, family)
            if not at:
                raise Fail(Kind.NO_MEMORY, "no room for a socket")
            return self.add((NetQueue if stream else NetDatagramQueue)(self, family, at))

    def socket_of(self, qd) -> NetQueue:
        queue = self.queue_of(qd)
        if not isinstance(queue, NetQueue):
            raise Fail(Kind.UNSUPPORTED, f"queue {qd} is not a socket")
        return queue

    def bind(self, qd: int, address: tuple) -> None:
        """bind(2). Raises IN_USE, INVALID, BAD_QUEUE."""
        with self.lock:
            self.socket_of(qd).bind(address)

    def listen(self, qd: int, backlog: int = 128) -> None:
        """listen(2). Raises IN_USE, INVALID, UNSUPPORTED."""
        with self.lock:
            self.socket_of(qd).listen(backlog)

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
        with self.lock:
            return self.socket_of(qd).name()

    def getpeername(self, qd: int) -> tuple:
        """The peer's address (getpeername(2)). Raises NOT_CONNECTED."""
        with self.lock:
            return self.socket_of(qd).peer()

    def setsockopt(self, qd: int, level: int, option: int, value: int | bytes) -> None:
        """setsockopt(2), of the options in net_queue.py. Raises UNSUPPORTED."""
        with self.lock:
            self.socket_of(qd).set_option(level, option, value)

    def getsockopt(self, qd: int, level: int, option: int, size: int = 0) -> int | bytes:
        """getsockopt(2), of the options in net_queue.py: an int. Raises UNSUPPORTED."""
        with self.lock:
            return self.socket_of(qd).option(level, option)

    def shutdown(self, qd: int, how: int) -> None:
        """shutdown(2): SHUT_RD, SHUT_WR, SHUT_RDWR. Raises NOT_CONNECTED."""
        with self.lock:
            self.now()
            self.socket_of(qd).shutdown(how)
            self.flush()

    def peek(self, qd: int, size: int = 65536) -> bytes:
        """Bytes that the next pop would take, left where they are; b"" when there are none."""
        with self.lock:
            return self.socket_of(qd).peek(size)

    def pending(self, qd: int) -> int:
        """How many bytes are there to pop."""
        with self.lock:
            return self.socket_of(qd).pending()

    def pop_into(self, qd: int, buffer: bytearray | memoryview) -> int:
        """Pop inline into the caller's buffer: a count, 0 at the end of the stream. Raises WOULD_BLOCK."""
        with self.lock:
            self.now()
            try:
                return self.socket_of(qd).pop_into(buffer)
            finally:
                self.flush()
