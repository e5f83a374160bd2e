"""A TAP interface of the kernel as a frame device (Documentation/networking/tuntap.rst): frames to and from the
kernel's own stack, for tests against it and for reaching other machines. Needs CAP_NET_ADMIN to make the interface.
"""

import _socket
import fcntl
import os
import struct

from libos import calls, raw
from libos.devices import layout
from libos.devices.frame_device import FrameDevice
from libos.memory_file import SYS_munmap, high, private

COMPILED = __file__.endswith(".so")
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x2, 0x1000
SIOCGIFMTU, SIOCGIFHWADDR = 0x8921, 0x8927


class Tap(FrameDevice):
    """One end of the interface `name`, made if it isn't there; the other is the kernel's. `mac` is ours: by default the
    kernel's with another last bit.

    The interface, its MTU and its being up are the administrator's: `ip link set NAME up`. Raises OSError.
    """

    def __init__(self, name, mac=None):
        fd = high(os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            request = struct.pack("=16sH22x", name.encode(), IFF_TAP | IFF_NO_PI)
            self.name = fcntl.ioctl(fd, TUNSETIFF, request)[:16].rstrip(b"\0").decode()
            kernel = fcntl.ioctl(fd, SIOCGIFHWADDR, bytes(40))[18:24]
            mtu = asked_mtu(self.name)
        except BaseException:
            os.close(fd)
            raise
        self.fd = fd
        FrameDevice.__init__(self, mac or kernel[:5] + bytes([kernel[5] ^ 1]), mtu)
        self.largest = layout.HEADER + mtu
        self.stride = (layout.SPARE + self.largest + 64) & ~63  # and one byte more
        self.place = private(layout.BURST * self.stride)

    def receive(self, frames, limit):
        if limit > layout.BURST:
            limit = layout.BURST
        n = 0
        while n < limit:
            at = self.place + n * self.stride + layout.SPARE
            # one byte too many says that the frame was longer
            length = raw.syscall(calls.SYS_read, self.fd, at, self.largest + 1, 0, 0, 0)
            if length < 0:
                break
            if not layout.HEADER <= length <= self.largest:
                self.errors += 1
                continue
            raw.store(frames + n * layout.FRAME, at)
            raw.store(frames + n * layout.FRAME + 8, length)
            n += 1
        self.received += n
        return n

    def transmit(self, address, length):
        if not layout.HEADER <= length <= self.largest:
            self.errors += 1
            return True
        result = raw.syscall(calls.SYS_write, self.fd, address, length, 0, 0, 0)
        if result == -calls.EAGAIN:
            self.full += 1
            return False
        if result < 0:  # the interface is down
            self.errors += 1
        else:
            self.transmitted += 1
        return True

    def deadline(self, now):
        return -1

    def arm(self):
        """The kernel keeps what comes, and the descriptor readable."""
        return True

    def disarm(self):
        pass

    def bell(self):
        return self.fd

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            raw.syscall(SYS_munmap, self.place, layout.BURST * self.stride, 0, 0, 0, 0)


def asked_mtu(name):
    """An interface's MTU, which only a socket tells (netdevice(7))."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    try:
        answer = fcntl.ioctl(sock.fileno(), SIOCGIFMTU, struct.pack("=16s24x", name.encode()))
        return struct.unpack_from("=i", answer, 16)[0]
    finally:
        sock.close()
