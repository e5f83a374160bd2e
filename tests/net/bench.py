"""A stack on a bench: frames in and out as bytes, under a clock of its own."""

import ctypes
import struct

import frames
from frames import ethernet, words

from libos.net import neighbors, structs, udp_user
from libos.net.stack import Stack

MAC, PEER = 0x020000000001, 0x020000000002
SECOND = 10**9


class Bench:
    """A stack with two addresses, and its frames as bytes."""

    def __init__(self, known=True):
        self.now = 1000 * SECOND
        self.stack = Stack(MAC, 1500, b"b" * 16, 1 << 26, 64)
        self.host = self.stack.host
        self.host.add_address(*words("10.0.0.1"), 120)
        self.host.add_address(*words("fd00::1"), 64)
        self.host.now = self.now
        if known:
            for address in ("10.0.0.2", "fd00::2"):
                neighbors.add(self.host, *words(address), PEER)
        self.buffer = ctypes.create_string_buffer(1 << 17)
        self.at = ctypes.addressof(self.buffer)

    def feed(self, *packets, target=MAC, source=PEER):
        """What goes out after these packets (or frames, of `target` None) have come in."""
        for packet in packets:
            frame = packet if target is None else ethernet(target, source, packet)
            self.buffer[: len(frame)] = frame
            self.stack.receive(self.at, len(frame), self.now)
        return self.out()

    def out(self):
        self.stack.poll(self.now)
        return self.host.out.contents()

    def wait(self, seconds):
        """What goes out in that time."""
        end, frames = self.now + round(seconds * SECOND), self.out()
        while (due := self.stack.next_deadline()) and due <= end:
            self.now = max(self.now, due)
            frames += self.out()
        self.now = self.host.now = end
        return frames + self.out()

    def socket(self, port=0, family=4, address=None, options=0):
        at = udp_user.open(self.stack.udp, family)
        structs.Udp.from_address(at).options = options
        high, low = words(address) if address else (0, 0)
        if port or address:
            assert udp_user.bind(self.stack.udp, at, high, low, port) == 0
        return at

    def send(self, at, data, address="10.0.0.2", port=7):
        self.buffer[: len(data)] = data
        high, low = words(address) if address else (0, 0)
        return udp_user.send(self.stack.udp, at, self.at, len(data), high, low, port)

    def receive(self, at, size=65536):
        n = udp_user.receive_into(self.stack.udp, at, self.at, size)
        return n if n < 0 else self.buffer[: min(n, size)]


def arp(kind, sender, target, mac=PEER, to=0):
    body = struct.pack(">HHBBH", 1, 0x800, 6, 4, kind) + mac.to_bytes(6, "big") + frames.packed(sender)
    body += to.to_bytes(6, "big") + frames.packed(target)
    return b"\xff" * 6 + mac.to_bytes(6, "big") + b"\x08\x06" + body
