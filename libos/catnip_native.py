"""Catnip's PDPIX calls for Python programs: TCP and UDP, IPv4 and IPv6, by a stack of our own over a frame device.

A thread of the libOS, the keeper, sees to timers, acknowledgments and retransmissions while the program computes.
"""

import ipaddress
import socket as kernel

from libos import net_config
from libos.errors import Fail, Kind
from libos.net import udp_user
from libos.net.tcp import user
from libos.net_queue import NetDatagramQueue, NetQueue
from libos.pdpix import INBOUND, OUTBOUND, LibOS
from libos.runtime.memory import Heap
from libos.stack_native import Keeper, StackDevice, StackLibOS

FAMILIES = {kernel.AF_INET: 4, kernel.AF_INET6: 6}


class NetDevice(StackDevice):
    """The stack and its device, as what a libOS polls."""

    def __init__(self, libos):
        self.catnip = libos.catnip
        super().__init__(libos, self.catnip.device.bell())

    def turn(self):
        found = self.catnip.turn(self.catnip.tick())
        for events in (self.catnip.stack.tcp, self.catnip.stack.udp):
            while at := events.next_event():
                queue = self.libos.by_record.get(at)
                if queue is not None and hasattr(queue, "waiting"):
                    found = True
                    self.libos.wake(queue, INBOUND)
                    self.libos.wake(queue, OUTBOUND)
        return found

    def arm(self):
        if not self.catnip.device.arm():
            return 0
        now = self.catnip.tick()
        due = self.catnip.deadline(now)
        return max(due - now, 0) if due else None

    def disarm(self):
        self.catnip.device.disarm()


class CatnipLibOS(StackLibOS):
    """PDPIX over a network stack of our own. `device`: a FrameDevice, by default a port of the segment `segment`;
    `addresses`: (packed, prefix length) of each of this host's, by default those that come with the port. `address`:
    the first of them, as text. `gateway`, `routes`, `mtu`, `neighbours` and `checksums` as the knobs of these names
    (docs/configuration.md).
    """

    Socket = NetQueue

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
        checksums: str | None = None,
    ) -> None:
        super().__init__(heap, clock, beside=beside)
        if device is None:
            device = net_config.segment(segment, mtu)
            addresses = addresses or net_config.allotted(device)
        self.address = str(ipaddress.ip_address(addresses[0][0])) if addresses else ""
        self.catnip = net_config.over(device, addresses or (), gateway, routes, mtu, neighbours, checksums)
        self.by_record: dict[int, NetQueue] = {}
        self.over(NetDevice(self))
        self.keeper = Keeper(self.device, "catnip")

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
            self.catnip.settle()

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
