"""Frames as bytes, for tests of devices: what the stack does with addresses."""

import contextlib
import ctypes
import os
import re
import select

from libos.devices import layout
from libos.devices.tray import sent

TYPE = b"\x88\xb5"  # IEEE 802, local experimental


class Host:
    """A device, and frames in and out of it as bytes."""

    def __init__(self, device):
        self.device = device
        self.array = (ctypes.c_uint64 * (2 * layout.BURST + 2))()
        self.at = ctypes.addressof(self.array)

    def send(self, frame):
        return sent(self.device, frame)

    def frame(self, other, payload, source=None):
        """A frame to another host, or to the address `other`."""
        target = other if isinstance(other, bytes) else other.device.mac
        return target + (source or self.device.mac) + TYPE + payload

    def say(self, other, payload, source=None):
        return self.send(self.frame(other, payload, source))

    def burst(self, limit=layout.BURST):
        n = self.device.receive(self.at, limit)
        return [ctypes.string_at(self.array[2 * i], self.array[2 * i + 1] & layout.LENGTH) for i in range(n)]

    def all(self, looks=3):
        """Every frame that is there now; several looks, since nothing may come at the first."""
        found = []
        while looks:
            frames = self.burst()
            found += frames
            looks = looks if frames else looks - 1
        return found

    def heard(self, looks=3):
        """The payloads of those."""
        return [frame[layout.HEADER :] for frame in self.all(looks)]

    def woken(self, seconds=0):
        """Whether who sleeps so long is woken, or need not sleep at all."""
        if not self.device.arm():
            return True
        try:
            return self.rung(seconds)
        finally:
            self.device.disarm()

    def settled(self, seconds=0.05):
        """All that comes until nothing has come for a while."""
        found = []
        while self.woken(seconds):
            found += self.all()
        return found

    def rung(self, seconds=0):
        bell = select.poll()  # select(2) knows no number above 1023
        bell.register(self.device.bell(), select.POLLIN)
        return bool(bell.poll(seconds * 1000))


@contextlib.contextmanager
def closing(*devices):
    try:
        yield
    finally:
        for device in devices:
            device.close()


def names(segment):
    """The abstract names that hosts of a segment of ours have now."""
    with open("/proc/net/unix") as file:
        return re.findall(rf"@catflap/ethernet/{os.geteuid()}/\d+/{segment}/(\S+)", file.read())


def unique(count=[0]):  # noqa: B006 - one counter for the process
    """A segment's name that no other test has."""
    count[0] += 1
    return f"test-{os.getpid()}-{count[0]}"
