"""An Ethernet segment in shared memory, for the hosts of one machine and one user: no root, no daemon, no set-up.

The first host makes it, any process may join and leave at any time, the last one takes it along; `kill -9` leaves
nothing behind. It behaves as a switch with a port for each host: unicast goes to the port whose address it is, by the
port's number in the addresses that we give out and by what was learned of others; what nobody knows, and multicast,
goes to all. A frame that finds its receiver's ring full is lost, and its sender told.

A child of a process with a port must not use it, and can't: it finds a device that neither sends nor receives.
"""

import os
import struct
from weakref import WeakSet

from libos import calls, raw
from libos.devices import addresses, layout, segment_file
from libos.devices.frame_device import FrameDevice
from libos.devices.segment_names import Names
from libos.devices.segment_ring import Ring
from libos.memory_file import private

COMPILED = __file__.endswith(".so")
OPEN = WeakSet()


class Segment(FrameDevice):
    """A port of the segment `name`, made with `mtu`, `slots` and `network` if it isn't there yet; it keeps what it was
    made with. `port` asks for a certain one, whose addresses are always the same.

    `ipv4`, `ipv6`: bytes, out of networks of `ipv4_prefix` and 64 bits. Raises Fail and OSError.
    """

    def __init__(self, name="default", port=None, mtu=1500, slots=512, network="10.77.0.0/16"):
        names = Names(name)
        self.fds = []
        self.base = 0
        self.size = 0
        self.mine = 0
        lock = names.lock()
        try:
            self.join(names, port, mtu, slots, network)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(lock)
        OPEN.add(self)

    def join(self, names, port, mtu, slots, network):
        """Under the lock: the file, the port, our own memory, and only then what others see of us."""
        fd = names.file()
        if fd >= 0:
            self.fds.append(fd)
            self.base = segment_file.join(fd)
        else:
            fd, self.base = segment_file.make(mtu, slots, network)
            self.fds.append(fd)
        self.shape = shape = segment_file.shape(self.base)
        self.size = segment_file.size_of(shape)
        segment_file.sweep(names, self.base, shape)
        self.port, bell = segment_file.claim(names, self.base, shape, port)
        self.fds.append(bell)
        self.stride = (layout.SPARE + layout.HEADER + shape.mtu + 63) & ~63
        self.private_size = layout.M_FRAMES + layout.BURST * self.stride
        self.mine = private(self.private_size)
        self.forked(segment_file.MADV_DONTFORK, segment_file.MADV_WIPEONFORK)
        for other in range(layout.PORTS):
            self.write_name(self.mine + layout.M_NAMES + other * layout.M_NAME, names.address(other))
        self.take_up(shape, bell)
        self.names = names
        self.announce()
        raw.store(self.mine + layout.M_OURS, 1)
        segment_file.mark(self.base, self.port, True)

    def announce(self):
        """Say where others find the file."""
        fd = self.fds[0]
        self.fds.append(self.names.bound(f"at/{os.getpid()}/{fd}/{os.fstat(fd).st_ino}"))

    def forked(self, base, mine):
        """What a child has of the file, and of our own memory (madvise(2))."""
        raw.syscall(segment_file.SYS_madvise, self.base, self.size, base, 0, 0, 0)
        raw.syscall(segment_file.SYS_madvise, self.mine, self.private_size, mine, 0, 0, 0)

    def lend(self):
        OPEN.discard(self)
        self.forked(segment_file.MADV_DOFORK, segment_file.MADV_KEEPONFORK)

    def inherit(self):
        OPEN.add(self)
        self.forked(segment_file.MADV_DONTFORK, segment_file.MADV_WIPEONFORK)
        raw.store(self.base + layout.S_RECORDS + self.port * layout.RECORD + layout.P_PID, os.getpid())
        self.announce()

    def given(self):
        raw.store(self.mine + layout.M_OURS, 0)
        self.forget()

    def take_up(self, shape, bell):
        """Become the port: the ring goes on where it was left."""
        mac = addresses.mac(shape.identity, self.port)
        FrameDevice.__init__(self, mac, shape.mtu)
        self.oui = int.from_bytes(mac[:5], "little")
        self.ipv4 = addresses.ipv4(shape.network, self.port)
        self.ipv4_prefix = shape.prefix
        self.ipv6 = addresses.ipv6(shape.identity, self.port)
        self.unknown = 0  # frames for a host that isn't there
        self.largest = layout.HEADER + shape.mtu
        self.ring = Ring(self.base, self.mine, self.port, shape.slots, segment_file.stride(shape.mtu), self.largest)
        self.ring.socket = bell
        record = self.base + layout.S_RECORDS + self.port * layout.RECORD
        # turn 0 is what unused memory says
        self.ring.head = max(raw.load(record + layout.P_TAIL) & layout.POSITIONS, shape.slots)
        raw.store(record + layout.P_TAIL, self.ring.head)
        raw.store(record + layout.P_HEAD, self.ring.head)
        raw.store(record + layout.P_PID, os.getpid())

    def write_name(self, at, name):
        """A socket's name as ring_bell sends to it: the bytes of struct sockaddr_un, and before them their number."""
        text = struct.pack("=H", calls.AF_UNIX) + name
        raw.store(at, len(text))
        for i in range(0, len(text), 8):
            raw.store(at + 8 + i, int.from_bytes(text[i : i + 8], "little"))

    def receive(self, frames, limit):
        if raw.load(self.mine + layout.M_OURS) == 0:
            return 0
        if limit > layout.BURST:
            limit = layout.BURST
        before = self.ring.head
        n = 0
        while n < limit:
            place = self.mine + layout.M_FRAMES + n * self.stride + layout.SPARE
            length = self.ring.get(place)
            if length == 0:
                break
            source = raw.load(place + 6) & layout.MAC
            if source & layout.OUI != self.oui:
                self.learn(source, self.ring.sender())
            raw.store(frames + n * layout.FRAME, place)
            raw.store(frames + n * layout.FRAME + 8, length)
            n += 1
        if self.ring.head != before:
            self.ring.release()
            self.received += n
        else:
            self.ring.nothing()
        return n

    def transmit(self, address, length):
        if not layout.HEADER <= length <= self.largest:
            self.errors += 1
            return True
        if raw.load(self.mine + layout.M_OURS) == 0:
            return False
        target = raw.load(address) & layout.MAC
        if target & 1:
            self.flood(address, length)
            return True
        if target & layout.OUI == self.oui:
            port = target >> 40
        else:
            learned = raw.load(self.place_of(target))
            if learned & layout.MAC != target:
                self.flood(address, length)
                return True
            port = learned >> 48
        if port == self.port or not self.ring.up(port):
            self.unknown += 1
            return True
        if not self.ring.put(port, address, length):
            self.full += 1
            return False
        self.transmitted += 1
        return True

    def flood(self, address, length):
        """To every port but our own. Who has no room goes without."""
        self.transmitted += 1
        word = 0
        while word < layout.PORTS // 64:
            left = raw.load(self.base + layout.S_UP + word * 8)
            while left:
                port = word * 64 + raw.ctz(left)
                left &= left - 1
                if port != self.port and not self.ring.put(port, address, length):
                    self.full += 1
            word += 1

    def place_of(self, mac):
        """Where it is remembered which port a foreign address was last seen at: port << 48 | address."""
        return self.mine + layout.M_LEARNED + ((mac >> 40) ^ (mac >> 32) & 0xFF) * 8

    def learn(self, mac, port):
        if port < layout.PORTS and not mac & 1:
            raw.store(self.place_of(mac), port << 48 | mac)

    def deadline(self, now):
        if raw.load(self.mine + layout.M_OURS) == 0:
            return -1
        return self.ring.mend()

    def arm(self):
        if raw.load(self.mine + layout.M_OURS) == 0:
            return True
        sleeper = self.ring.record(self.port) + layout.P_SLEEPER
        raw.store(sleeper, 1)
        raw.fence()
        if not self.ring.filled():
            return True
        raw.store(sleeper, 0)
        return False

    def disarm(self):
        if raw.load(self.mine + layout.M_OURS) == 0:
            return
        raw.store(self.ring.record(self.port) + layout.P_SLEEPER, 0)
        i = 0
        while i < 64:  # anyone may ring
            scratch = self.mine + layout.M_SCRATCH
            if raw.syscall(calls.SYS_recvfrom, self.ring.socket, scratch, 8, calls.DONTWAIT, 0, 0) < 0:
                break
            i += 1

    def bell(self):
        return self.ring.socket

    def close(self):
        ours = self.mine and raw.load(self.mine + layout.M_OURS)
        if ours:
            raw.syscall(
                segment_file.SYS_madvise, self.mine, self.private_size, segment_file.MADV_DONTNEED, 0, 0, 0
            )  # the address stays: whoever looks there finds a port that isn't ours
            segment_file.clear(self.base, self.shape, self.port)
        self.forget()
        if self.size and (ours or not self.mine):  # what the parent has mapped is not there in a child
            segment_file.unmap(self.base, self.size)
        self.size = 0
        OPEN.discard(self)

    def forget(self):
        """Close the descriptors: the kernel takes the names back."""
        while self.fds:
            raw.syscall(calls.SYS_close, self.fds.pop(), 0, 0, 0, 0, 0)


def in_child():
    """The names are the parent's alone."""
    for segment in list(OPEN):
        segment.forget()


os.register_at_fork(after_in_child=in_child)
