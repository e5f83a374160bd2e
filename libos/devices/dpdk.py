"""A port of DPDK as a frame device: a virtual one (memif, vhost, virtio-user, af_packet), or one of a card on the PCI
bus that the administrator has given to DPDK.

Frames are handed out where the driver has put them, and their memory is the driver's again at the next `receive`; what
is sent is copied into the driver's memory. A port without a peer takes what is sent and drops it, as an interface
without a cable does. No driver here tells of what comes, so that a thread looks for who sleeps (dpdk.c, watch).
"""

import os
from weakref import WeakSet

from libos import calls, raw
from libos.devices import dpdk_library, layout
from libos.devices.frame_device import FrameDevice
from libos.devices.offload import mended
from libos.devices.segment_file import MADV_WIPEONFORK, SYS_madvise
from libos.memory_file import high, private

COMPILED = __file__.endswith(".so")
OPEN = WeakSet()
PAGE = 4096
ONE = 64  # of a port's own memory: the entry of a frame that is sent alone
VHOST = b"VHOST"  # every port of that driver's begins so and ends with its number, in any process


class Dpdk(FrameDevice):
    """The port `name`: DPDK's name of a device and, after commas, what its driver is to know. Raises Fail, OSError."""

    def __init__(self, name, mtu=1500):
        self.name = name
        self.place = self.port = 0
        self.fd = -1
        self.library = dpdk_library.started(name)
        at = self.library.at
        self.receive_at, self.transmit_at = at["receive"], at["transmit"]
        self.arm_at, self.disarm_at = at["arm"], at["disarm"]
        self.place = private(PAGE)
        raw.syscall(SYS_madvise, self.place, PAGE, MADV_WIPEONFORK, 0, 0, 0)
        self.fd = high(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        try:
            self.port, mac, self.driver = self.library.open(name, mtu, self.fd)
        except BaseException:
            self.forget()
            raise
        FrameDevice.__init__(self, b"\x02" + os.urandom(5) if mac.startswith(VHOST) else mac, mtu)
        self.mends = self.driver == "net_af_packet"  # it does not say which checksums are to be completed
        raw.store(self.place, 1)
        OPEN.add(self)

    def receive(self, frames, limit):
        if raw.load(self.place) == 0:
            return 0
        found = raw.call3(self.receive_at, self.port, frames, limit)
        n = found & 0xFFFF
        self.errors += found >> 16
        if self.mends:
            i = 0
            while i < n:
                entry = frames + i * layout.FRAME
                mended(raw.load(entry), raw.load(entry + 8))
                i += 1
        self.received += n
        return n

    def transmit(self, address, length):
        if raw.load(self.place) == 0:
            return False
        raw.store(self.place + ONE, address)
        raw.store(self.place + ONE + 8, length)
        return self.transmit_burst(self.place + ONE, 1) == 1

    def transmit_burst(self, frames, count):
        if raw.load(self.place) == 0:
            return 0
        found = raw.call3(self.transmit_at, self.port, frames, count)
        useless = found >> 16  # that can't be right, or there is nobody at the other end
        n = (found & 0xFFFF) + useless
        self.transmitted += found & 0xFFFF
        self.errors += useless
        if n < count:
            self.full += 1
        return n

    def deadline(self, now):
        return -1

    def arm(self):
        return raw.load(self.place) == 0 or raw.call2(self.arm_at, self.port, 0) != 0

    def disarm(self):
        if raw.load(self.place):
            raw.call2(self.disarm_at, self.port, 0)

    def bell(self):
        return self.fd

    def close(self):
        if self.place and raw.load(self.place):
            raw.store(self.place, 0)  # the page stays: whoever looks there finds a port that isn't ours
            self.library.close(self.port)
        self.forget()
        OPEN.discard(self)

    def forget(self):
        if self.fd >= 0:
            raw.syscall(calls.SYS_close, self.fd, 0, 0, 0, 0, 0)
        self.fd = -1


def in_child():
    """Ports are the parent's alone."""
    for device in list(OPEN):
        device.forget()
    for fd in dpdk_library.HERE[0].numbers if dpdk_library.HERE else ():
        raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)


os.register_at_fork(after_in_child=in_child)
