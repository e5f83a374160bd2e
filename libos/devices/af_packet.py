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
from libos.devices.bell import Bell
from libos.devices.frame_device import FrameDevice
from libos.devices.interface import Interface
from libos.devices.offload import Cutter, complete
from libos.devices.segment_file import MADV_DOFORK, MADV_DONTFORK, SYS_madvise
from libos.memory_file import READ_WRITE, SYS_mmap, SYS_munmap, high, private

COMPILED = __file__.endswith(".so")
SOL_PACKET, ETH_P_ALL = 263, 3
ADD_MEMBERSHIP, RX_RING, COPY_THRESH, TPACKET, RESERVE, VNET_HDR, IGNORE_OUTGOING = 1, 5, 7, 10, 12, 15, 23
TPACKET_V2, MAP_SHARED = 1, 1
ALLMULTI, UNICAST = 2, 3
SO_ATTACH_FILTER, SO_RCVBUF, SO_RCVBUFFORCE = 26, 8, 33
ROOM, BLOCK = 4 << 20, 1 << 16  # bytes of the ring, and that may wait beside it; of a block of it

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

    Two sockets: one receives, by a ring that it shares with the kernel, one sends. Raises Fail.
    """

    def __init__(self, name, mac=None):
        interface = Interface(f"af_packet:{name}", name)
        self.name = name
        self.fd = self.out = -1
        self.ring = self.place = 0
        self.rung = None
        FrameDevice.__init__(self, mac or own_mac(interface.mac), interface.mtu)
        self.largest = layout.HEADER + interface.mtu
        self.stride = (layout.SPARE + self.largest + 63) & ~63
        self.size = layout.A_PIECES + layout.BURST * self.stride
        self.slot = 1 << (layout.A_FRAME + self.largest - 1).bit_length()
        self.slots = ROOM // self.slot
        self.head = self.tail = 0
        self.cutter = Cutter()
        try:
            self.place = private(self.size)
            self.join(interface)
            self.out = opened(name, 0)
            self.rung = Bell(self.fd, self.place + 512)
        except OSError as error:
            self.close()
            raise interface.refused(error, "CAP_NET_RAW")

    def join(self, interface):
        """The socket that receives; it does so when all is set."""
        words = program(self.mac)
        for i, word in enumerate(words):
            raw.store(self.place + 8 * i, word)
        block = max(self.slot, BLOCK)
        self.fd = opened(
            self.name,
            ETH_P_ALL,
            (SOL_PACKET, TPACKET, TPACKET_V2),
            (SOL_PACKET, VNET_HDR, 1),
            (SOL_PACKET, RESERVE, layout.SPARE),
            (SOL_PACKET, COPY_THRESH, 1),
            (SOL_PACKET, RX_RING, struct.pack("=4I", block, ROOM // block, self.slot, self.slots)),
            (SOL_PACKET, IGNORE_OUTGOING, 1),
            (_socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("=H6xQ", len(words), self.place)),
            (SOL_PACKET, ADD_MEMBERSHIP, struct.pack("=iHH8s", interface.index, UNICAST, 6, self.mac)),
            (SOL_PACKET, ADD_MEMBERSHIP, struct.pack("=iHH8s", interface.index, ALLMULTI, 0, b"")),
        )
        ring = raw.syscall(SYS_mmap, 0, ROOM, READ_WRITE, MAP_SHARED, self.fd, 0)
        if ring <= 0:
            raise OSError(-ring, os.strerror(-ring))
        self.ring = ring
        self.inherit()

    def lend(self):
        raw.syscall(SYS_madvise, self.ring, ROOM, MADV_DOFORK, 0, 0, 0)

    def inherit(self):
        raw.syscall(SYS_madvise, self.ring, ROOM, MADV_DONTFORK, 0, 0, 0)

    def receive(self, frames, limit):
        if limit > layout.BURST:
            limit = layout.BURST
        while self.tail != self.head:  # the kernel's again
            raw.store32(self.ring + self.tail * self.slot, 0)
            self.tail = (self.tail + 1) & (self.slots - 1)
        n = 0
        looks = 0
        while n < limit and looks < layout.BURST:
            if self.cutter.rest:
                at = self.place + layout.A_PIECES + n * self.stride + layout.SPARE
                length = self.cutter.cut(at)
            elif self.filled():
                looks += 1
                at = self.ring + self.head * self.slot
                length = raw.load32(at + 8)
                self.head = (self.head + 1) & (self.slots - 1)
                if raw.load32(at) & layout.A_BESIDE:  # too large for a slot, it waits as with any socket
                    at = self.place + layout.A_BIG
                    length = self.beside(at)
                elif raw.load32(at + 4) != length:
                    self.full += 1
                    continue
                else:
                    at += raw.load32(at + 12) & 0xFFFF
                if not self.ready(at, length):
                    continue
            else:
                break
            raw.store(frames + n * layout.FRAME, at)
            raw.store(frames + n * layout.FRAME + 8, length)
            n += 1
        self.received += n
        return n

    def filled(self):
        """Whether the next slot has a frame of ours."""
        return self.ring and raw.load32(self.ring + self.head * self.slot) & layout.A_FILLED

    def beside(self, at):
        """Read a large frame; its length."""
        room = layout.A_LARGEST + layout.V_BEFORE
        length = -calls.ENETDOWN
        tries = 0
        while length == -calls.ENETDOWN and tries < 2:  # that is told once, before what waits
            length = raw.syscall(
                calls.SYS_recvfrom, self.fd, at - layout.V_BEFORE, room, calls.DONTWAIT | calls.TRUNC, 0, 0
            )
            tries += 1
        return length - layout.V_BEFORE

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
        """The kernel keeps what comes; what it had no room for is counted."""
        at = self.place
        raw.store(at + 8, 8)
        if raw.syscall(calls.SYS_getsockopt, self.fd, 263, 6, at, at + 8, 0) == 0:  # PACKET_STATISTICS
            self.full += raw.load32(at + 4)
        raw.store(at + 8, 4)  # an interface that goes down is an error, which would ring until it is taken
        raw.syscall(calls.SYS_getsockopt, self.fd, calls.SOL_SOCKET, calls.SO_ERROR, at, at + 8, 0)
        if self.cutter.rest or self.filled():
            return False
        if self.fd >= 0:
            self.rung.arm()
        return True

    def disarm(self):
        if self.fd >= 0:
            self.rung.disarm()

    def bell(self):
        return self.rung.fd

    def close(self):
        for fd in self.fd, self.out, self.rung.fd if self.rung else -1:
            if fd >= 0:
                os.close(fd)
        self.fd = self.out = -1
        if self.rung:
            self.rung.fd = -1
        self.head = self.tail = self.cutter.rest = 0
        if self.ring:
            raw.syscall(SYS_munmap, self.ring, ROOM, 0, 0, 0, 0)
            self.ring = 0
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
