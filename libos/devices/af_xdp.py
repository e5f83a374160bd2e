"""A queue of an interface as a frame device, by a socket of AF_XDP (Documentation/networking/af_xdp): what comes on the
queue is ours, before the kernel's stack has seen it. Needs CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF.

Frames are copied, by the kernel, between its memory and ours, the *chunks*: half of them are the kernel's to receive
into, each to be given back once it was read, the others are for sending.
"""

import _socket
import os
import struct
import time

from libos import calls, raw
from libos.devices import layout
from libos.devices.af_packet import ADD_MEMBERSHIP, ALLMULTI, SOL_PACKET, opened
from libos.devices.bell import Bell
from libos.devices.frame_device import FrameDevice
from libos.devices.interface import Interface
from libos.devices.offload import mended
from libos.devices.segment_file import MADV_DOFORK, MADV_DONTFORK, SYS_madvise
from libos.devices.xdp_program import Program, poke
from libos.devices.xdp_ring import XdpRing
from libos.memory_file import READ_WRITE, SYS_mmap, SYS_munmap, high_copy, private

COMPILED = __file__.endswith(".so")
AF_XDP, SOL_XDP = 44, 283
MMAP_OFFSETS, RX_RING, TX_RING, UMEM_REG, FILL_RING, COMPLETION_RING, STATISTICS = range(1, 8)
PLACES = {RX_RING: 0, TX_RING: 0x80000000, FILL_RING: 0x100000000, COMPLETION_RING: 0x180000000}
COPY, USE_NEED_WAKEUP = 2, 8
SHARED, RESERVED = 0x8001, 0x4021  # MAP_SHARED with MAP_POPULATE, with MAP_ANONYMOUS and MAP_NORESERVE
HEADROOM = 256  # what the kernel leaves free in each chunk
TRIES, PAUSE = 50, 0.01  # of a queue whose last owner has just gone


class AfXdp(FrameDevice):
    """All that comes on queue `queue` of the interface `name`, whose MAC is ours then. Raises Fail."""

    def __init__(self, name, queue=0):
        self.interface = interface = Interface(f"af_xdp:{name}:{queue}", name)
        self.name, self.queue = name, queue
        self.fd = self.groups = -1
        self.umem = self.place = 0
        self.program = self.rung = None
        self.maps = []
        self.largest = layout.HEADER + interface.mtu
        self.chunk = 2048 if self.largest <= 2048 - HEADROOM - layout.SPARE else 4096
        most = self.chunk - HEADROOM - layout.SPARE - layout.HEADER
        if interface.mtu > most:
            raise interface.fail(f"an MTU of {interface.mtu} is more than {most}; ip link set {name} mtu {most}")
        FrameDevice.__init__(self, interface.mac, interface.mtu)
        self.size = 2 * layout.X_CHUNKS * self.chunk
        self.held = self.free = self.lost = 0
        self.stuck = False
        try:
            self.place = private(layout.X_SIZE)
            self.make_socket()
            self.program = Program(queue)
            self.bind()
            self.rung = Bell(self.fd, self.place + layout.X_SCRATCH + 64)
            self.program.lead(queue, self.fd)
            self.way = self.program.attach(interface.index)
            request = struct.pack("=iHH8s", interface.index, ALLMULTI, 0, b"")
            self.groups = opened(name, 0, (SOL_PACKET, ADD_MEMBERSHIP, request))
        except OSError as error:
            self.close()
            if error.errno == calls.EBUSY:
                raise interface.fail(f"{name} has an XDP program already; end the process whose it is")
            raise interface.refused(error, "CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF")
        except BaseException:
            self.close()
            raise

    def make_socket(self):
        """The socket, its chunks and its rings."""
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        sock = _socket.socket(AF_XDP, kind, 0)
        self.fd = high_copy(sock.fileno())
        try:
            self.umem = self.mapped(self.size, RESERVED, -1, 0)
            region = struct.pack("=QQIII4x", self.umem, self.size, self.chunk, layout.SPARE, 0)
            sock.setsockopt(SOL_XDP, UMEM_REG, region)
            for ring in PLACES:
                sock.setsockopt(SOL_XDP, ring, layout.X_CHUNKS)
            offsets = struct.unpack("=16Q", sock.getsockopt(SOL_XDP, MMAP_OFFSETS, 128))
        finally:
            sock.close()
        self.rx = self.ring(RX_RING, 16, offsets[0:4])
        self.tx = self.ring(TX_RING, 16, offsets[4:8])
        self.fill = self.ring(FILL_RING, 8, offsets[8:12])
        self.done = self.ring(COMPLETION_RING, 8, offsets[12:16])
        for i in range(layout.X_CHUNKS):
            raw.store(self.fill.entry(), i * self.chunk)
            self.fill.step()
            self.release_chunk((layout.X_CHUNKS + i) * self.chunk)
        self.fill.publish()

    def mapped(self, size, flags, fd, place):
        """Memory of the device's, which no child has. Raises OSError."""
        at = raw.syscall(SYS_mmap, 0, size, READ_WRITE, flags, fd, place)
        if at <= 0:
            raise OSError(-at, os.strerror(-at))
        self.maps.append((at, size))
        self.inherit()
        return at

    def lend(self):
        for at, size in self.maps:
            raw.syscall(SYS_madvise, at, size, MADV_DOFORK, 0, 0, 0)

    def inherit(self):
        for at, size in self.maps:
            raw.syscall(SYS_madvise, at, size, MADV_DONTFORK, 0, 0, 0)

    def ring(self, kind, size, offsets):
        filled, emptied, entries, flags = offsets
        base = self.mapped(entries + size * layout.X_CHUNKS, SHARED, self.fd, PLACES[kind])
        return XdpRing(base + filled, base + emptied, base + flags, base + entries, size, layout.X_CHUNKS)

    def bind(self):
        """Be the queue's socket; one that has just been closed goes a moment later."""
        at = self.place + layout.X_SCRATCH
        poke(at, struct.pack("=HHIII", AF_XDP, COPY | USE_NEED_WAKEUP, self.interface.index, self.queue, 0))
        result = calls.EBUSY
        for _ in range(TRIES):
            result = -raw.syscall(calls.SYS_bind, self.fd, at, 16, 0, 0, 0)
            if result != calls.EBUSY:
                break
            time.sleep(PAUSE)
        if result == calls.EBUSY:
            raise self.interface.fail("another process has the queue; give another, or end that one")
        if result == calls.EINVAL:
            raise self.interface.fail(f"{self.name} has no queue {self.queue}")
        if result:
            raise OSError(result, os.strerror(result))

    def release_chunk(self, chunk):
        """A chunk is free to be sent."""
        raw.store(self.place + layout.X_FREE + self.free * 8, chunk)
        self.free += 1

    def receive(self, frames, limit):
        if self.umem == 0:
            return 0
        if limit > layout.BURST:
            limit = layout.BURST
        if self.held:
            self.give_back()
        if self.stuck:
            self.kick()
        n = 0
        looks = 0
        while n < limit and looks < layout.BURST and self.rx.waiting():
            at = self.umem + raw.load(self.rx.entry())
            length = raw.load32(self.rx.entry() + 8)
            self.rx.step()
            looks += 1
            raw.store(self.place + layout.X_HELD + self.held * 8, at - self.umem)
            self.held += 1
            if not layout.HEADER <= length <= self.largest:
                self.errors += 1
                continue
            mended(at, length)
            raw.store(frames + n * layout.FRAME, at)
            raw.store(frames + n * layout.FRAME + 8, length)
            n += 1
        if looks:
            self.rx.release()
            self.received += n
        return n

    def give_back(self):
        """The chunks of what was handed out are the kernel's again."""
        while self.held:
            self.held -= 1
            chunk = raw.load(self.place + layout.X_HELD + self.held * 8)
            raw.store(self.fill.entry(), chunk - chunk % self.chunk)
            self.fill.step()
        self.fill.publish()
        if self.fill.sleeps():
            raw.syscall(calls.SYS_recvfrom, self.fd, 0, 0, calls.DONTWAIT, 0, 0)

    def transmit(self, address, length):
        if not layout.HEADER <= length <= self.largest:
            self.errors += 1
            return True
        if self.umem == 0:
            return False
        while self.done.waiting():
            self.release_chunk(raw.load(self.done.entry()))
            self.done.step()
            self.done.release()
        if self.free == 0:
            self.full += 1
            self.kick()
            return False
        self.free -= 1
        chunk = raw.load(self.place + layout.X_FREE + self.free * 8)
        raw.copy(self.umem + chunk, address, length)
        raw.store(self.tx.entry(), chunk)
        raw.store(self.tx.entry() + 8, length)
        self.tx.step()
        self.tx.publish()
        if not self.tx.sleeps() or self.kick():
            self.transmitted += 1
        else:
            self.errors += 1
        return True

    def kick(self):
        """Have the kernel send, now or when it has room. False: it won't, the interface is down or gone."""
        result = raw.syscall(calls.SYS_sendto, self.fd, 0, 0, calls.DONTWAIT, 0, 0)
        self.stuck = result == -calls.EAGAIN or result == -layout.ENOBUFS
        return result >= 0 or self.stuck

    def deadline(self, now):
        return now + layout.X_AGAIN if self.stuck else -1

    def arm(self):
        """The kernel keeps what comes; what it had no room for is counted."""
        if self.umem == 0:
            return True
        at = self.place + layout.X_SCRATCH
        raw.store(at + 48, 48)
        if raw.syscall(calls.SYS_getsockopt, self.fd, 283, 7, at, at + 48, 0) == 0:  # SOL_XDP, XDP_STATISTICS
            self.full -= self.lost
            self.lost = raw.load(at) + raw.load(at + 24)
            self.full += self.lost
        if self.rx.waiting():
            return False
        self.rung.arm()
        return True

    def disarm(self):
        if self.umem:
            self.rung.disarm()

    def bell(self):
        return self.rung.fd

    def close(self):
        if self.program:
            self.program.close()
            self.program = None
        for fd in self.fd, self.groups, self.rung.fd if self.rung else -1:
            if fd >= 0:
                os.close(fd)
        self.fd = self.groups = -1
        if self.rung:
            self.rung.fd = -1
        self.umem = 0
        self.held = 0
        self.stuck = False
        while self.maps:
            at, size = self.maps.pop()
            raw.syscall(SYS_munmap, at, size, 0, 0, 0, 0)
        if self.place:
            raw.syscall(SYS_munmap, self.place, layout.X_SIZE, 0, 0, 0, 0)
            self.place = 0
