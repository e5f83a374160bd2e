"""An interface of the kernel as a frame device, by a socket of AF_PACKET (packet(7)): a host of its own on the wire
that the interface is on, beside the kernel. Needs CAP_NET_RAW.

What the kernel on that wire has left to hardware is done here (offload.py). Frames of virtual LANs, whose tags the
kernel takes off, belong to others: a filter drops them in the kernel, as it does with those for other addresses.
"""

import _socket
import os
import struct

from libos import calls, raw
from libos.devices import layout
from libos.devices.frame_device import FrameDevice
from libos.devices.interface import Interface
from libos.devices.offload import Cutter, complete
from libos.memory_file import SYS_munmap, high, private

COMPILED = __file__.endswith(".so")
SOL_PACKET, ETH_P_ALL = 263, 3
ADD_MEMBERSHIP, VNET_HDR, IGNORE_OUTGOING = 1, 15, 23
ALLMULTI, UNICAST = 2, 3
SO_ATTACH_FILTER, SO_RCVBUF, SO_RCVBUFFORCE = 26, 8, 33
ROOM = 4 << 20  # bytes that may wait in the kernel, its own overhead with them

# classic BPF (Documentation/networking/filter): code, jumps forward if true and if false, operand
LOAD_WORD, LOAD_HALF, LOAD_BYTE, IF_EQUAL, IF_ANY, ANSWER = 0x20, 0x28, 0x30, 0x15, 0x45, 0x06
VLAN = 0xFFFFF000 + 44  # SKF_AD_OFF + SKF_AD_VLAN_TAG: the tag that was taken off


def program(mac):
    """Frames to `mac` and to groups, in no virtual LAN (its number is 0); as 64-bit words."""
    first, last = struct.unpack(">IH", mac)
    steps = (
        (LOAD_WORD, 0, 0, VLAN),
        (IF_ANY, 7, 0, 0xFFF),
        (LOAD_BYTE, 0, 0, 0),
        (IF_ANY, 4, 0, 1),
        (LOAD_WORD, 0, 0, 0),
        (IF_EQUAL, 0, 3, first),
        (LOAD_HALF, 0, 0, 4),
        (IF_EQUAL, 0, 1, last),
        (ANSWER, 0, 0, 0x40000),
        (ANSWER, 0, 0, 0),
    )
    return [struct.unpack("=Q", struct.pack("=HBBI", *step))[0] for step in steps]


def own_mac(mac):
    """Another address than the interface's, of those that anyone may give out (IEEE 802, 8.4)."""
    return bytes([mac[0] | 2]) + mac[1:5] + bytes([mac[5] ^ 1])


class AfPacket(FrameDevice):
    """A host on the wire of the interface `name`. `mac` is ours: by default one that is not the interface's, so that
    the kernel takes what we are sent for another host's and does not answer it.

    Two sockets: one receives with the header of offload.py before each frame, one sends bare frames. Raises Fail.
    """

    def __init__(self, name, mac=None):
        interface = Interface(f"af_packet:{name}", name)
        self.name = name
        self.fd = self.out = -1
        self.place = 0
        FrameDevice.__init__(self, mac or own_mac(interface.mac), interface.mtu)
        self.largest = layout.HEADER + interface.mtu
        self.stride = (layout.SPARE + self.largest + 63) & ~63
        self.size = layout.A_PIECES + layout.BURST * self.stride
        self.next = self.got = 0
        self.cutter = Cutter()
        try:
            self.place = private(self.size)
            self.describe()
            self.join(interface)
            self.out = opened(name, 0)
        except OSError as error:
            self.close()
            raise interface.refused(error, "CAP_NET_RAW")

    def describe(self):
        """The messages of a burst (recvmmsg(2)), each with room for the largest that there can be."""
        for i in range(layout.BURST):
            message = self.place + i * layout.A_MESSAGE
            vector = self.place + layout.A_VECTORS + i * 16
            raw.store(message + 16, vector)
            raw.store(message + 24, 1)
            raw.store(vector, self.slot(i) - layout.V_BEFORE)
            raw.store(vector + 8, layout.V_BEFORE + layout.A_LARGEST)

    def join(self, interface):
        """The socket that receives; it does so when all is set."""
        filter_at = self.place + layout.A_SCRATCH
        words = program(self.mac)
        for i, word in enumerate(words):
            raw.store(filter_at + 8 * i, word)
        request = struct.pack("=iHH8s", interface.index, 0, 6, self.mac)
        self.fd = opened(
            self.name,
            ETH_P_ALL,
            (SOL_PACKET, VNET_HDR, 1),
            (SOL_PACKET, IGNORE_OUTGOING, 1),
            (_socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("=H6xQ", len(words), filter_at)),
            (SOL_PACKET, ADD_MEMBERSHIP, request),
            (SOL_PACKET, ADD_MEMBERSHIP, struct.pack("=iHH8s", interface.index, ALLMULTI, 0, b"")),
        )

    def slot(self, i):
        """Where the frame of a message lies."""
        return self.place + layout.A_SLOTS + i * layout.A_STRIDE + layout.A_FRAME

    def fetch(self, limit):
        """One call for a burst."""
        self.next = 0
        self.got = 0
        got = raw.syscall(layout.SYS_recvmmsg, self.fd, self.place, limit, calls.DONTWAIT, 0, 0)
        if got > 0:
            self.got = got
        elif got == -calls.EINVAL:  # no header says what the kernel has left undone
            self.errors += 1

    def receive(self, frames, limit):
        if limit > layout.BURST:
            limit = layout.BURST
        if self.cutter.rest == 0 and self.next == self.got and limit:
            self.fetch(limit)
        n = 0
        while n < limit:
            if self.cutter.rest:
                at = self.place + layout.A_PIECES + n * self.stride + layout.SPARE
                length = self.cutter.cut(at)
            elif self.next < self.got:
                at = self.slot(self.next)
                length = raw.load32(self.place + self.next * layout.A_MESSAGE + 56) - layout.V_BEFORE
                self.next += 1
                if not self.ready(at, length):
                    continue
            else:
                break
            raw.store(frames + n * layout.FRAME, at)
            raw.store(frames + n * layout.FRAME + 8, length)
            n += 1
        self.received += n
        return n

    def ready(self, at, length):
        """Whether a frame can be handed out as it lies there; if not it is an error, or the cutter has it."""
        said = raw.load(at - layout.V_BEFORE)
        if said & layout.V_SEGMENTS:
            if (
                said & layout.V_UNDONE
                and length <= layout.A_LARGEST
                and self.cutter.begin(at, length, said >> 8 & 0xFF, said >> 32 & 0xFFFF, said >> 48)
            ):
                if self.cutter.header + self.cutter.size <= self.largest:
                    return False
                self.cutter.rest = 0
            self.errors += 1
            return False
        if not layout.HEADER <= length <= self.largest:
            self.errors += 1
            return False
        if said & layout.V_UNDONE and not complete(at, length, said >> 48, raw.load32(at - 2) & 0xFFFF):
            self.errors += 1
            return False
        return True

    def transmit(self, address, length):
        if not layout.HEADER <= length <= self.largest:
            self.errors += 1
            return True
        result = raw.syscall(calls.SYS_write, self.out, address, length, 0, 0, 0)
        if result == -calls.EAGAIN or result == -layout.ENOBUFS:
            self.full += 1
            return False
        if result < 0:  # the interface is down, or gone
            self.errors += 1
        else:
            self.transmitted += 1
        return True

    def deadline(self, now):
        return -1

    def arm(self):
        """The kernel keeps what comes, and the descriptor readable; what it had no room for is counted."""
        at = self.place + layout.A_SCRATCH
        raw.store(at + 8, 8)
        if raw.syscall(calls.SYS_getsockopt, self.fd, 263, 6, at, at + 8, 0) == 0:  # PACKET_STATISTICS
            self.full += raw.load32(at + 4)
        return self.cutter.rest == 0 and self.next == self.got

    def disarm(self):
        pass

    def bell(self):
        return self.fd

    def close(self):
        for fd in self.fd, self.out:
            if fd >= 0:
                os.close(fd)
        self.fd = self.out = -1
        self.next = self.got = self.cutter.rest = 0
        if self.place:
            raw.syscall(SYS_munmap, self.place, self.size, 0, 0, 0, 0)
            self.place = 0


def opened(name, protocol, *options):
    """A socket of AF_PACKET, bound to an interface once its options are set. Raises OSError."""
    sock = _socket.socket(_socket.AF_PACKET, _socket.SOCK_RAW | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC, 0)
    try:
        for option in options:
            sock.setsockopt(*option)
        for option in (SO_RCVBUF, SO_RCVBUFFORCE) if protocol else ():
            try:
                sock.setsockopt(_socket.SOL_SOCKET, option, ROOM // 2)  # doubled by the kernel
            except OSError:
                break  # not without CAP_NET_ADMIN
        sock.bind((name, protocol))
        return high(sock.detach())
    except BaseException:
        sock.close()
        raise
