"""What the PDPIX faces of stacks that run in the program itself have in common: the device that a wait polls, the calls
of sockets, and the keeper, a thread that goes on with the stack while the program computes.
"""

import os
import select
import threading

from libos.errors import Fail, Kind
from libos.pdpix import ACCEPT, CONNECT, INBOUND, OUTBOUND, LibOS

SPIN = 20000  # ns
SHORTEST, LONGEST = 5, 100  # ms that the keeper sleeps while the program looks itself, or sleeps in a wait


class StackDevice:
    """A stack and its device, as what a libOS polls: an epoll set of what rings, `outside` (-1: nothing does), and of a
    bell of our own. Derived ones have `turn`, `arm` and `disarm`, which are called under the lock.
    """

    def __init__(self, libos, outside):
        self.libos = libos
        self.outside = outside
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        self.epoll = select.epoll()
        self.epoll.register(self.bell, select.EPOLLIN)
        if outside >= 0:
            self.epoll.register(outside, select.EPOLLIN)
        self.looks = 0

    def turn(self):
        """Everything that can be done now, and wake who waited for what it brought. True when there was anything."""
        raise NotImplementedError

    def arm(self):
        """Have `outside` rung, and look for the last time: how many ns may be slept, None for ever."""
        raise NotImplementedError

    def disarm(self):
        """No bell is needed any more."""

    def look(self):
        """One turn. True when there was anything."""
        with self.libos.lock:
            self.looks += 1
            return self.turn()

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
        """Somebody is about to sleep on `fileno`: at most so many ns, None for ever."""
        with self.libos.lock:
            return self.arm()

    def rouse(self):
        """He is awake."""
        with self.libos.lock:
            self.disarm()
            try:
                os.eventfd_read(self.bell)
            except BlockingIOError:
                pass

    def ring(self, sleepers):
        """Wake that many sleeping threads."""
        os.eventfd_write(self.bell, sleepers)

    def close(self):
        self.epoll.close()
        os.close(self.bell)


class Keeper(threading.Thread):
    """Carries on while no thread of the program is in a wait or has been there a moment ago; else it sleeps longer and
    longer.
    """

    def __init__(self, device, name):
        super().__init__(name=name, daemon=True)
        self.device = device
        self.ended = os.eventfd(0, os.EFD_CLOEXEC)
        self.start()

    def run(self):
        resting = select.poll()
        resting.register(self.ended, select.POLLIN)
        serving = select.poll()
        serving.register(self.ended, select.POLLIN)
        if self.device.outside >= 0:
            serving.register(self.device.outside, select.POLLIN)
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


class StackLibOS(LibOS):
    """The calls of sockets. `Socket`: the class of the queues that are some; derived ones have `now` and `flush`,
    between which a call is made.
    """

    Socket: type = object

    def now(self):
        """The stack is told the time."""

    def flush(self):
        """What a call has made goes out at once."""

    def socket_of(self, qd):
        queue = self.queue_of(qd)
        if not isinstance(queue, self.Socket):
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
        """setsockopt(2). Raises UNSUPPORTED."""
        with self.lock:
            self.socket_of(qd).set_option(level, option, value)

    def getsockopt(self, qd: int, level: int, option: int, size: int = 0) -> int | bytes:
        """getsockopt(2): an int. Raises UNSUPPORTED."""
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
