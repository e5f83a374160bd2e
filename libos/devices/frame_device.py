"""The contract of a frame device.

A frame is Ethernet II without its check sequence (IEEE 802.3, 3.1.1): destination, source, type, payload. It is named
by (address, length) in raw memory, two words of 64 bits. Above the 32 bits of the length stands, of a frame that came,
whether the device vouches for its checksums (layout.VOUCHED); of one that goes, from bit 48 on, after how many bytes of
TCP's payload the device is to cut it. A device is polled: nothing calls back, nothing sleeps. The caller holds one lock
for `receive` and one for `transmit`, or one for both; the two may run at the same time.

To sleep on a device: `arm()`, and if that says yes, poll(2) on `bell()` no longer than until `deadline`; then
`disarm()`. What comes between the last look and the sleep rings the bell.
"""

from libos import raw
from libos.devices import layout

COMPILED = __file__.endswith(".so")
TRANSMIT_CHECKSUM = 1  # capability: the device writes the checksums of TCP and UDP into what goes out
RECEIVE_CHECKSUM = 2  # capability: it says of what comes in which checksums it vouches for


class FrameDevice:
    """Base of all devices. `mac`: 6 bytes; `mtu`: the largest payload of a frame; `capabilities`: the flags above;
    `cuts`: bytes of the longest frame of several segments of TCP that it cuts, 0 where it cuts none.
    """

    def __init__(self, mac, mtu, capabilities=0):
        self.mac = mac
        self.mtu = mtu
        self.capabilities = capabilities
        self.cuts = 0
        self.received = 0  # frames handed to the caller
        self.transmitted = 0  # frames taken from the caller
        self.full = 0  # frames refused or lost because there was no room for them
        self.errors = 0  # frames dropped because they could not be right

    def receive(self, frames, limit):
        """Write up to `limit` entries (address, length), two 64-bit words each, to `frames`; how many.

        What they name is the caller's until the next `receive`. The entry after the last is not touched.
        """
        return 0

    def transmit(self, address, length):
        """Send the `length` bytes at `address`, which are the caller's again at once. False: full, try again later.

        A frame that could never be sent (too short or too long) is taken, dropped and counted in `errors`.
        """
        return False

    def transmit_burst(self, frames, count):
        """Send the `count` frames of an array as `receive` fills it: how many were taken, the first ones."""
        i = 0
        while i < count and self.transmit(raw.load(frames + i * layout.FRAME), raw.load(frames + i * layout.FRAME + 8)):
            i += 1
        return i

    def deadline(self, now):
        """When `receive` has something to do though no bell rings: monotonic nanoseconds, -1 for never."""
        return -1

    def arm(self):
        """Have the bell rung by what comes from now on. False: do not sleep, something is there already."""
        return True

    def disarm(self):
        """No bell is needed any more; the caller has slept, or will not."""

    def bell(self):
        """A descriptor that poll(2) finds readable when an armed device has been rung; -1: nothing ever rings."""
        return -1

    def lend(self):
        """Before a fork whose child is to have the device, and not this process."""

    def inherit(self):
        """In that child."""

    def given(self):
        """In its parent."""

    def close(self):
        """Let go of everything; harmless to repeat. What was received is not to be touched any more."""


class PythonDevice(FrameDevice):
    """Base of devices that stay Python: compiled callers reach the subclass's methods, and take the GIL for them."""

    def receive(self, frames, limit):
        return getattr(self, "receive")(frames, limit)  # noqa: B009 - by name: the method of the Python subclass

    def transmit(self, address, length):
        return getattr(self, "transmit")(address, length)  # noqa: B009

    def deadline(self, now):
        return getattr(self, "deadline")(now)  # noqa: B009

    def arm(self):
        return getattr(self, "arm")()  # noqa: B009

    def disarm(self):
        getattr(self, "disarm")()  # noqa: B009
