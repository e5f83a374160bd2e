"""The inline side of a queue: one attempt at an operation, never blocking, callable without the GIL.

PDPIX (SOSP '21, section 4.2) tries a push or pop inline and makes a qtoken only when it blocks. These methods are that
first attempt. Each returns a count, a new kernel descriptor (`accept_into`) or 0, or a negative error exactly as the
device gave it; what a would-block looks like is the device's to say, and libos.errors gives the names.
"""

from libos import calls

COMPILED = __file__.endswith(".so")


class Queue:
    """One I/O queue. `qd` is its queue descriptor; `fd` the kernel object behind it, -1 where there is none."""

    def __init__(self, qd, fd=-1):
        self.qd = qd
        self.fd = fd

    def move(self, fd):
        """The kernel object goes by another number now."""
        self.fd = fd

    def pop_into(self, address, size, flags):
        """Take at most `size` bytes into caller memory at `address`; 0 is end of stream."""
        return -calls.UNSUPPORTED

    def push_from(self, address, size, flags):
        """Submit `size` bytes at `address`; returns how many the device took."""
        return -calls.UNSUPPORTED

    def pop_message(self, message, flags):
        """Like recvmsg(2): `message` is the address of a struct msghdr."""
        return -calls.UNSUPPORTED

    def push_message(self, message, flags):
        """Like sendmsg(2): `message` is the address of a struct msghdr."""
        return -calls.UNSUPPORTED

    def accept_into(self, address, length, flags):
        """Take one pending connection; the peer's name goes to `address` (may be 0), its size to `length`."""
        return -calls.UNSUPPORTED

    def connect_to(self, address, length):
        """Start connecting to the socket address of `length` bytes at `address`."""
        return -calls.UNSUPPORTED

    # Readiness beside PDPIX, for queues whose data is not the kernel's to see. Masks: READABLE 1, WRITABLE 2.
    def upgraded(self):
        """Whether the device holds data that the kernel doesn't know of: a wait has to look here too."""
        return False

    def ready(self, mask):
        """Which of `mask` an inline attempt would find now, beside what the kernel says of `fd`."""
        return 0

    def arm(self, bell, mask):
        """Have `bell` rung when `mask` may have come true. False when another thread of ours has the place."""
        return False
