"""Catmint's PDPIX calls for Python programs: connections of messages over RDMA, by libfabric (docs/catmint.md).

A socket has an address of the kernel's, where the two ends of a connection find each other (libos/rendezvous.py); its
messages go through one endpoint of the fabric. A thread of the libOS, the keeper, goes on while the program computes.
"""

import atexit
import ctypes
import os
import select
import socket as kernel

from libos import fabric_files, raw
from libos.catmint import Catmint
from libos.device import Device
from libos.errors import Fail, Kind
from libos.fabric import structs
from libos.fabric.libfabric import SCRATCH, LibFabric
from libos.memory_file import private
from libos.mint_queue import MintQueue
from libos.pdpix import INBOUND, OUTBOUND, LibOS
from libos.rendezvous import Card
from libos.runtime.memory import Heap
from libos.sgarray import SGArray, address_of
from libos.stack_native import Keeper, StackDevice, StackLibOS

FAMILIES = (kernel.AF_INET, kernel.AF_INET6)
GLANCE = 64  # looks from one at the TCP connections to the next
LINGER = 5 * 10**9  # ns that what was closed may need at the end
KINDS = {
    structs.CONNECTION_REFUSED: Kind.REFUSED,
    structs.RESET: Kind.RESET,
    structs.TIMED_OUT: Kind.TIMED_OUT,
    structs.NOT_CONNECTED: Kind.NOT_CONNECTED,
    structs.BROKEN_PIPE: Kind.RESET,
    structs.INVALID: Kind.INVALID,
    structs.IN_USE: Kind.IN_USE,
    structs.NO_MEMORY: Kind.NO_MEMORY,
    structs.MESSAGE_TOO_LONG: Kind.INVALID,
}


class Leaving:
    """A connection that the program has closed: until all is said, its TCP connection tells the other end that we
    live. `sock`: None where there is none any more.
    """

    def __init__(self, libos, at, sock):
        self.libos = libos
        self.at = at
        self.sock = sock
        self.token = structs.connection(at).token
        if sock is not None:
            libos.device.watch(sock, self.heard)

    def told(self):
        self.libos.let_go(self.at)

    def heard(self):
        """The other end is gone."""
        self.libos.device.forget(self.sock)
        if not self.gone():
            self.libos.catmint.machine.lost(self.at)

    def gone(self):
        """Whether the record is somebody else's, or nobody's."""
        return structs.connection(self.at).token != self.token

    def said(self):
        """Whether the other end has everything, or never will."""
        c = structs.connection(self.at)
        return self.gone() or c.state == structs.BROKEN or c.flags & structs.END_HEARD != 0

    def end(self):
        if self.libos.by_record.get(self.at) is self:
            del self.libos.by_record[self.at]
        if self.sock is not None:
            self.libos.device.forget(self.sock)
            self.sock.close()


class MintDevice(StackDevice):
    """Catmint's endpoint and the TCP connections beside it, as what a libOS polls."""

    def __init__(self, libos):
        self.catmint = libos.catmint
        self.kernel = select.epoll()
        if self.catmint.fabric.bell() >= 0:
            self.kernel.register(self.catmint.fabric.bell(), select.EPOLLIN)
        self.stir = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # for who sleeps since there was no connection
        self.kernel.register(self.stir, select.EPOLLIN)
        self.by_fd = {}  # who is to hear of a TCP connection
        self.openings = set()  # Answers and Calls that are not done
        self.leaving = set()
        self.slept = False
        super().__init__(libos, self.kernel.fileno())

    def watch(self, sock, heard, writable=False):
        """Have `heard()` called when a TCP connection has something to be read, or can be written."""
        events = select.EPOLLIN | select.EPOLLRDHUP | (select.EPOLLOUT if writable else 0)
        if sock.fileno() in self.by_fd:
            self.kernel.modify(sock, events)
        else:
            self.kernel.register(sock, events)
        self.by_fd[sock.fileno()] = heard
        os.eventfd_write(self.stir, 1)

    def forget(self, sock):
        """Nobody is to hear of it any more; harmless to repeat."""
        if self.by_fd.pop(sock.fileno(), None) is not None:
            self.kernel.unregister(sock)

    def turn(self):
        found = self.catmint.turn()
        machine, by_record = self.catmint.machine, self.libos.by_record
        while at := machine.next_event():
            who = by_record.get(at)
            if who is not None:
                found = True
                who.told()
        if self.slept or self.openings or self.looks % GLANCE == 0:
            self.slept = False
            found = self.glance() or found
        if found:
            self.catmint.flush()
        return found

    def glance(self):
        """Hear what the kernel has to say, give up what has taken too long, and let go of what is over."""
        found = False
        for fd, _ in self.kernel.poll(0):
            heard = self.by_fd.get(fd)
            if heard is not None:
                found = True
                heard()
            elif fd == self.stir:
                os.eventfd_read(self.stir)
        now = self.libos.now()
        for opening in [one for one in self.openings if one.exchange.deadline <= now]:
            opening.expire()
        for one in [one for one in self.leaving if one.gone()]:
            self.leaving.remove(one)
            one.end()
        return found

    def arm(self):
        if not self.catmint.fabric.arm():
            return 0
        now = self.libos.now()
        due = self.catmint.deadline(now)
        deadlines = [one.exchange.deadline for one in self.openings] + ([due] if due >= 0 else [])
        return max(min(deadlines) - now, 0) if deadlines else None

    def disarm(self):
        self.catmint.fabric.disarm()
        self.slept = True

    def close(self):
        super().close()
        self.kernel.close()
        os.close(self.stir)


class CatmintLibOS(StackLibOS):
    """PDPIX over RDMA. `provider`: of libfabric, `shm` for this machine, `tcp;ofi_rxm`, `verbs;ofi_rxm` and the like;
    `node`: the address of the interface that it is to use, where it does not find that by itself. `address`: where
    other programs of this machine find this one's sockets. Raises UNSUPPORTED, DEVICE.
    """

    Socket = MintQueue
    address = "127.0.0.1"

    def __init__(
        self,
        heap: Heap | None = None,
        clock=None,
        beside: LibOS | None = None,
        provider: str = "shm",
        node: str = "",
    ) -> None:
        super().__init__(heap, clock, beside=beside)
        place = ""
        if provider == "shm":
            fabric_files.clean()
            place, node = fabric_files.place(), fabric_files.name()
        fabric = LibFabric(provider, private(SCRATCH), node)
        self.catmint = Catmint(fabric, self.heap)
        self.card = Card(provider, place, fabric.address)
        self.result = ctypes.create_string_buffer(24)
        self.result_at = ctypes.addressof(self.result)
        self.tokens = 0
        self.kept: dict = {}  # by token: whom of a push the core tells, and what lets go of its memory
        self.by_record: dict = {}  # who is told of the core's news
        self.over(MintDevice(self))
        self.keeper = Keeper(self.device, "catmint")
        atexit.register(self.shut)

    def shut(self) -> None:
        """Leave: what is open is reset, what was closed before is said to its end, if the other end listens."""
        atexit.unregister(self.shut)
        self.keeper.stop()
        with self.lock:
            for qd in [qd for qd, queue in self.queues.items() if isinstance(queue, MintQueue)]:
                self.reset(qd)
            limit = self.now() + LINGER
            while not all(one.said() for one in self.device.leaving) and self.now() < limit:
                if not self.device.look():
                    self.device.kernel.poll(0.001)
            for one in self.device.leaving:
                one.end()
            self.catmint.close()
            for _, release in self.kept.values():
                release()
            self.kept.clear()
            self.shared.devices.remove(self.device)
            self.device.close()
            self.device = Device()

    def reset(self, qd):
        """Close a queue whose other end is not to believe that all is well."""
        queue = self.queues[qd]
        if queue.at:
            self.catmint.machine.abort(queue.at)
        self.close(qd)

    def now(self):
        return raw.now()

    def flush(self):
        self.catmint.flush()

    def kernel(self, call, *arguments):
        try:
            return call(*arguments)
        except OSError as error:
            raise Fail.of_kernel(error)

    def socket(self, domain: int, kind: int, protocol: int = 0) -> int:
        """A new socket's qd (socket(2)). Raises UNSUPPORTED beyond SOCK_STREAM over IPv4 and IPv6."""
        if domain not in FAMILIES or kind != kernel.SOCK_STREAM:
            raise Fail(Kind.UNSUPPORTED, f"socket({domain}, {kind}, {protocol}): Catmint has SOCK_STREAM only")
        sock = self.kernel(kernel.socket, domain, kind, protocol)
        sock.setblocking(False)
        with self.lock:
            return self.add(MintQueue(self, sock))

    # --- what queues call, under the lock ---

    def checked(self, r):
        """A count, or None for would-block. Raises Fail."""
        if r >= 0:
            return r
        if r == -structs.WOULD_BLOCK:
            return None
        kind = KINDS.get(-r, Kind.DEVICE)
        raise Fail(kind, kind.value if -r in KINDS else f"Catmint's error {-r}")

    def wake_inbound(self, queue):
        if hasattr(queue, "waiting"):
            self.wake(queue, INBOUND)

    def wake_outbound(self, queue):
        if hasattr(queue, "waiting"):
            self.wake(queue, OUTBOUND)

    def next_token(self):
        self.tokens += 1
        return self.tokens

    def let_go(self, at):
        """Let go of what the core has let go of, of one connection's pushes."""
        while self.catmint.machine.finished(at, self.result_at):
            push, release = self.kept.pop(raw.load(self.result_at))
            release()
            if push is not None:
                push.finished(raw.load(self.result_at + 8))

    def taken(self, at):
        """The next message of a connection, empty at its end; None while there is none. Raises Fail."""
        r = self.checked(self.catmint.machine.pop(at, self.result_at))
        if r is None:
            return None
        if r == 0:
            return SGArray([])
        buffer, address, length = (raw.load(self.result_at + 8 * k) for k in range(3))
        self.catmint.flush()
        view = memoryview((ctypes.c_char * length).from_address(address)).cast("B")
        return SGArray([view], self.heap, (buffer,))

    def call(self, address, service):
        """Connect to a service of an endpoint: the connection's record. Raises Fail."""
        room = memoryview(address)
        return self.checked(self.catmint.machine.connect(address_of(room), len(room), service, self.now()))

    def send(self, at, data):
        """Push some bytes of our own. Raises Fail."""
        room, token = memoryview(data), self.next_token()
        self.checked(self.catmint.machine.push(at, address_of(room), len(room), token))
        self.kept[token] = None, room.release
        self.catmint.flush()

    def leave(self, at, sock=None):
        """A record that was closed is on its way out."""
        self.by_record[at] = leaving = Leaving(self, at, sock)
        self.device.leaving.add(leaving)
