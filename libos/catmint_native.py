"""Catmint's PDPIX calls for Python programs: connections of messages over RDMA, by libfabric (docs/catmint.md).

A socket has an address of the kernel's, where the two ends of a connection find each other (libos/rendezvous.py); its
messages go through one endpoint of the fabric. A thread of the libOS, the keeper, goes on while the program computes.
"""

import atexit
import select
import socket as kernel

from libos import raw
from libos.catmint import Catmint
from libos.device import Device
from libos.errors import Fail, Kind
from libos.mint_calls import MintCalls, endpoint
from libos.mint_queue import MintQueue
from libos.mint_spines import Spines
from libos.pdpix import INBOUND, OUTBOUND, LibOS
from libos.rendezvous import Card
from libos.runtime.memory import Heap
from libos.sgarray import address_of
from libos.stack_native import Keeper, StackDevice, StackLibOS

FAMILIES = (kernel.AF_INET, kernel.AF_INET6)
GLANCE = 64  # looks from one at the TCP connections to the next


class MintDevice(Spines, StackDevice):
    """Catmint's endpoint and the TCP connections beside it, as what a libOS polls."""

    def __init__(self, libos):
        Spines.__init__(self, libos)
        self.catmint = libos.catmint
        if self.catmint.fabric.bell() >= 0:
            self.kernel.register(self.catmint.fabric.bell(), select.EPOLLIN)
        self.slept = False
        StackDevice.__init__(self, libos, self.kernel.fileno())

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
        self.close_spines()


class CatmintLibOS(MintCalls, StackLibOS):
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
        fabric, place = endpoint(provider, node)
        self.catmint = Catmint(fabric, self.heap)
        self.card = Card(provider, place, fabric.address)
        self.tokens = 0
        self.kept: dict = {}  # by token: whom of a push the core tells, and what lets go of its memory
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
            self.linger(self.device.look)
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

    def send(self, at, data):
        """Push some bytes of our own. Raises Fail."""
        room, token = memoryview(data), self.next_token()
        self.checked(self.catmint.machine.push(at, address_of(room), len(room), token))
        self.kept[token] = None, room.release
        self.catmint.flush()
