"""Catloop's PDPIX calls for Python programs: Catnap's, over connections whose bytes move to shared memory.

A TCP connection is one end of Catloop's (libos/endpoint.py) from connect or accept on, and goes to the rings when it
has been used enough and the other end is Catloop's too, whatever program that is. Everything else is Catnap's.
"""

import os
import select
import socket as kernel

from libos import calls, endpoint, layout, leaving, raw
from libos.catloop import STREAM, Catloop
from libos.catnap_native import CatnapLibOS, EpollDevice, SocketQueue
from libos.pdpix import INBOUND, OUTBOUND, LibOS
from libos.refusal import Refused
from libos.runtime.memory import Heap
from libos.sgarray import SGArray, address_of

NEVER = (1 << 63) - 1
SPIN = 20000  # ns
MILLISECOND = 1000000  # ns


def checked(r):
    """A count, or None for would-block. Raises OSError."""
    if r >= 0:
        return r
    if r == -calls.EAGAIN:
        return None
    raise OSError(-r, os.strerror(-r))


def in_ring(end):
    """Whether what is pushed goes to a ring, or still has to follow what did."""
    return raw.load(end + layout.OUT_STATE) in (layout.RING, layout.REPLAYING)


class LoopSocketQueue(SocketQueue):
    """A kernel socket; `loop` is the Catloop queue over it once it is a connection."""

    def __init__(self, libos, sock, accepting=None):
        super().__init__(libos, sock)
        self.loop = None
        if accepting is not None:
            self.join(accepting)

    def join(self, accepting):
        """The socket has become a connection; past the table of records it stays the kernel's."""
        self.loop = self.libos.catloop.adopt(self.socket.fileno(), STREAM)
        if self.loop is not None:
            self.loop.accepting = accepting
            self.libos.device.loops.add(self)

    def step(self):
        """One use more: the next step to the rings when it has come to that."""
        self.loop.uses += 1
        if self.loop.uses < self.loop.next_step:
            return
        had = raw.load(self.loop.end + layout.IN)
        try:
            self.libos.catloop.attend(self.loop, True)
        except (Refused, OSError):
            self.loop.next_step = NEVER
        if not had and raw.load(self.loop.end + layout.IN):
            self.libos.device.ring(self.libos.sleepers)  # they have no bell armed there yet

    def pushing(self, sga, address=None):
        """Attempts to give all of `sga` to the connection; keeps its place between them."""
        if self.loop is None:
            return super().pushing(sga, address)
        left = [segment for segment in sga.segments if len(segment)]

        def attempt():
            self.step()
            while left:
                at = address_of(left[0])
                taken = checked(endpoint.push(self.loop.end, at, len(left[0]), calls.NOSIGNAL))
                if taken is None:
                    leaving.settle(self.loop.end)
                    return None
                left[0] = left[0][taken:]
                if not len(left[0]):
                    left.pop(0)
            return len(sga), None, None

        return attempt

    def popping(self, size):
        if self.loop is None:
            return super().popping(size)

        def attempt():
            self.step()
            sga = SGArray.alloc(self.libos.heap, size)
            try:
                taken = checked(endpoint.pop(self.loop.end, sga.addresses[0], size, calls.LOOK_NOW))
            except BaseException:
                sga.free()
                raise
            if taken is None:
                leaving.settle(self.loop.end)
                sga.free()
                return None
            sga.trim(taken)
            return taken, sga, None

        return attempt

    def accepted(self, sock):
        return LoopSocketQueue(self.libos, sock, True)

    def taken(self):
        self.join(False)

    def connecting(self, address):
        connected = super().connecting(address)

        def attempt():
            outcome = connected()
            if outcome is not None and self.socket.type == kernel.SOCK_STREAM:
                self.join(False)
            return outcome

        return attempt

    def ready(self, mask):
        if self.loop is None or not endpoint.upgraded(self.loop.end):
            return super().ready(mask)
        found = endpoint.ready(self.loop.end, mask)
        ours = 2 if in_ring(self.loop.end) else 0  # the spine can always be written
        return found | super().ready(mask & ~ours) if mask & ~ours else found

    def peek(self, size):
        if self.loop is None:
            return super().peek(size)
        room = bytearray(size)
        taken = checked(endpoint.pop(self.loop.end, address_of(memoryview(room)), size, calls.PEEK | calls.LOOK_NOW))
        if taken is None:
            raise BlockingIOError
        return bytes(room[:taken])

    def pop_into(self, buffer):
        if self.loop is None:
            return super().pop_into(buffer)
        view = memoryview(buffer).cast("B")
        taken = checked(endpoint.pop(self.loop.end, address_of(view), len(view), calls.LOOK_NOW))
        if taken is None:
            raise BlockingIOError
        return taken

    def pending(self):
        return super().pending() + (self.loop.beside(False) if self.loop is not None else 0)

    def wanted(self, direction):
        """What of the spine concerns a wait: that it can be written says nothing of a ring."""
        if direction == OUTBOUND and self.loop is not None and in_ring(self.loop.end):
            return select.EPOLLRDHUP
        return super().wanted(direction)

    def shutdown(self, how):
        """The end of what was pushed is told after it (shutdown(2))."""
        if self.loop is not None:
            if how != kernel.SHUT_RD:
                leaving.stop_sending(self.loop.end, True)
            raw.store(self.loop.end + layout.LOOK_AT, 0)
        self.socket.shutdown(how)

    def close(self):
        if self.loop is not None:
            self.libos.device.loops.discard(self)
            self.libos.catloop.release(self.loop)
        super().close()
        self.loop = None


class LoopDevice(EpollDevice):
    """Catnap's device, and the rings: `loops` are the queues that may have one."""

    def __init__(self, libos):
        super().__init__(libos)
        self.loops = set()
        self.number = 0
        self.socket = None

    def blocked(self):
        """(queue, direction) of the operations that wait for a connection with rings."""
        found = [queue for queue in self.loops if raw.load(queue.loop.end + layout.IN)]
        return [(queue, way) for queue in found for way in (INBOUND, OUTBOUND) if queue.waiting[way]]

    def look(self):
        """Wake what the rings have made ready. True when there was any."""
        with self.libos.lock:
            found = [
                (queue, way)
                for queue, way in self.blocked()
                if endpoint.ready(queue.loop.end, 1 if way == INBOUND else 2)
            ]
            for queue, way in found:
                self.libos.wake(queue, way)
            return bool(found)

    def poll(self, timeout):
        """As EpollDevice.poll: spins while a ring is waited for, then sleeps until its bell."""
        if not self.blocked():
            return super().poll(timeout)
        limit = raw.now() + (SPIN if timeout is None else min(timeout, SPIN))
        while not self.look():
            if raw.now() >= limit:
                return self.sleep(timeout)
        return super().poll(0)

    def sleep(self, timeout):
        limit = self.doze()
        try:
            super().poll(timeout if limit is None else limit if timeout is None else min(timeout, limit))
        finally:
            self.rouse()
        self.look()

    def doze(self):
        """Say who is to be woken, and look for the last time: 0 when there is something."""
        limit = None
        with self.libos.lock:
            blocked = self.blocked()
            if not blocked:
                return None
            raw.store(self.bell_word(), 1)
            for queue, way in blocked:
                end = queue.loop.end
                word = end + (layout.OUT if way == OUTBOUND else layout.IN)
                raw.store(raw.load(word) + (layout.H_ROOM_BELL if way == OUTBOUND else layout.H_BELL), self.number)
                if not leaving.settle(end) or (way == OUTBOUND and not endpoint.stretch(end)):
                    limit = MILLISECOND
                self.settle(queue)
            raw.fence()
        return 0 if self.look() else limit

    def rouse(self):
        if self.socket is not None:
            raw.store(self.bell_word(), 0)

    def bell_word(self):
        """Address of the word that says whether peers are to ring; the bell is made at the first sleep."""
        family = self.libos.catloop.family
        if self.socket is None:
            self.number, fd = family.new_bell()
            self.socket = kernel.socket(fileno=fd)
            self.epoll.register(fd, select.EPOLLIN)
        return family.page + self.number * 64

    def heard(self, fd):
        """An event of none of the queues: a bell."""
        if self.socket is not None and fd == self.socket.fileno():
            try:
                while self.socket.recv(8):
                    pass
            except BlockingIOError:
                pass
        else:
            super().heard(fd)

    def settle(self, queue):
        if queue.loop is not None:
            raw.store(queue.loop.end + layout.LOOK_AT, 0)  # the spine may have said something
        super().settle(queue)


class CatloopLibOS(CatnapLibOS):
    """PDPIX over kernel sockets and shared memory. `worth`: uses of a connection before it looks for the other end."""

    Queue = LoopSocketQueue
    Device = LoopDevice

    def __init__(self, heap: Heap | None = None, clock=None, beside: LibOS | None = None, worth: int = 32) -> None:
        self.catloop = Catloop(worth=worth)
        super().__init__(heap, clock, beside)
