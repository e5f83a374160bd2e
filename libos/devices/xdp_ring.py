"""One of the four rings that a socket of AF_XDP shares with the kernel (Documentation/networking/af_xdp)."""

from libos import raw
from libos.devices import layout

COMPILED = __file__.endswith(".so")
NEED_WAKEUP = 1  # the kernel looks into the ring only when it is called


class XdpRing:
    """`filled`, `emptied`: where the two indices are; `at`, where it wants to be called; `entries`, of `size` bytes."""

    def __init__(self, filled, emptied, flags, entries, size, count):
        self.filled, self.emptied, self.flags = filled, emptied, flags
        self.entries, self.size, self.mask = entries, size, count - 1
        self.here = 0  # our own index

    def entry(self):
        """Where the entry at our index is."""
        return self.entries + (self.here & self.mask) * self.size

    def waiting(self):
        """Of a ring that we empty: whether there is an entry."""
        return raw.load32(self.filled) != self.here

    def step(self):
        self.here = (self.here + 1) & layout.TURNS

    def publish(self):
        """The entries before our index are the kernel's."""
        raw.store32(self.filled, self.here)

    def release(self):
        """They have been read."""
        raw.store32(self.emptied, self.here)

    def sleeps(self):
        return raw.load32(self.flags) & NEED_WAKEUP
