"""Catnip: a TCP/IP stack over a frame device, and the turn that carries frames from one to the other.

A frame goes from the device to whoever waits for its bytes in one pass: `turn` takes a burst, each frame runs through
the stack to the end, and what the stack has to say goes out again before `turn` returns. Users' calls
(libos.net.tcp.user, libos.net.udp_user) send inline: `flush` after one hands the device what it has made.

One lock, the caller's, guards host and device.
"""

import os

from libos import raw
from libos.devices import frame_device, layout
from libos.memory_file import private
from libos.net.stack import Stack

COMPILED = __file__.endswith(".so")
BURST = 32  # frames of a turn
PATIENCE = 1000000  # ns that a frame waits for room in the device
MAPPED = bytes(10) + b"\xff\xff"  # an IPv4 address as IPv6 has it


class Catnip:
    """The host of `device`, a FrameDevice. `addresses`: (packed address, prefix length) of each of its own; `mtu`: what
    it sends at most, by default what the device takes; `unsummed`: no checksum of TCP or UDP is written or looked at.
    """

    def __init__(self, device, addresses, mtu=0, unsummed=False):
        self.device = device
        self.addresses = tuple(addresses)
        self.unsummed = unsummed
        mac = int.from_bytes(device.mac, "big")
        self.stack = Stack(mac, mtu or device.mtu, os.urandom(16), at=place(), cut=device.cuts)
        self.host = self.stack.host
        self.out = self.host.out
        self.frames = private(2 * BURST * layout.FRAME)
        self.leaving = self.frames + BURST * layout.FRAME
        self.refused_at = 0  # since when the device has had no room for the oldest frame
        self.lost = 0  # frames that the device had no room for in all that time
        self.host.now = raw.now()
        for address, prefix in addresses:
            high, low = words(address)
            self.host.add_address(high, low, prefix + 128 - 8 * len(address))

        self.settle()

    def settle(self):
        """Leave to the device what it can do; once more where another was put in its place."""
        self.vouched = layout.VOUCHED if self.device.capabilities & frame_device.RECEIVE_CHECKSUM else 0
        self.host.leave_checksums = self.unsummed or self.device.capabilities & frame_device.TRANSMIT_CHECKSUM != 0
        self.host.trust_checksums = self.unsummed
        self.host.cut = self.device.cuts if self.device.cuts < self.host.cut else self.host.cut

    def tick(self):
        """Tell the stack the time, as before each of its calls: monotonic nanoseconds."""
        self.host.now = raw.now()
        return self.host.now

    def tell(self, now):
        """As `tick`, with a time that was read a moment ago: the stack's, which never goes back."""
        if self.host.now < now:
            self.host.now = now
        return self.host.now

    def turn(self, now):
        """What has come in, what is due, what goes out. True when there was any of it to do."""
        came = self.receive(now)
        return self.answer(now) or came

    def receive(self, now):
        """What has come in: whether there was any."""
        n = self.device.receive(self.frames, BURST)
        i = 0
        while i < n:
            frame = self.frames + i * layout.FRAME
            length = raw.load(frame + 8)
            if self.vouched:
                self.host.trust_checksums = self.unsummed or length & self.vouched != 0
            self.stack.receive(raw.load(frame), length & layout.LENGTH, now)
            i += 1
        return n != 0

    def answer(self, now):
        """What is due, and what goes out: whether there was any."""
        self.stack.poll(now)
        return self.flush(now)

    def flush(self, now):
        """Hand the device what waits to go out. True when it has taken any of it."""
        sent = False
        while self.out.count:
            n = self.out.listed(self.leaving, BURST)
            done = self.device.transmit_burst(self.leaving, n)
            if done:
                self.refused_at = 0
                self.out.drop(done)
                sent = True
            if done < n:
                if self.refused_at == 0:
                    self.refused_at = now
                if now - self.refused_at < PATIENCE:
                    return sent
                self.lost += 1
                self.refused_at = 0
                self.out.drop(1)
                sent = True
        return sent

    def deadline(self, now):
        """When a turn is needed at the latest, though no bell rings: monotonic ns; 0 for never."""
        due = self.stack.next_deadline()
        other = self.device.deadline(now)
        if other >= 0 and (due == 0 or other < due):
            due = other
        if self.out.count and (due == 0 or now + PATIENCE // 16 < due):
            due = now + PATIENCE // 16
        return due

    def close(self):
        """Nobody uses any of it any more."""
        self.device.close()
        self.host.close()


def place():
    """Where a stack's memory goes: anywhere in a part of the address space that no system uses by itself, so that it is
    free too where a recorded stack runs again.
    """
    return 0x200000000000 + (int.from_bytes(os.urandom(4), "big") << 12)


def words(packed):
    """The two words that the stack has for an address of 4 or 16 bytes (RFC 4291, section 2.5.5.2)."""
    if len(packed) == 4:
        packed = MAPPED + packed
    return int.from_bytes(packed[:8], "big"), int.from_bytes(packed[8:], "big")


def eight(word):
    return word.to_bytes(8, "big")


def unpacked(high, low):
    """The 4 or 16 bytes of an address that the stack has as two words."""
    packed = eight(high) + eight(low)
    return packed[12:] if packed.startswith(MAPPED) else packed
