"""The contract of a block device.

Requests are asynchronous: `write`, `read` and `flush` queue one under a tag, a positive integer, and say False where
there is no room now; `submit` hands over what is queued; `completion` takes finished ones. What requests name
stays as it is until then. Requests that are out at the same time may be done in any order, and a power cut may leave
any of the sectors of unfinished writes, and of finished ones that are not durable, old or new.
"""

COMPILED = __file__.endswith(".so")


class BlockDevice:
    """Base of all devices. `size` in bytes; `block`: what is written as a whole, and multiples of which offsets and
    lengths are (a power of two, 512 to 4096); `align`: multiples of which addresses are; `depth`: requests at a time.
    `fua`: a durable write is one request, else it needs a flush after it; `write_through`: every write is durable.
    """

    def __init__(self, size, block, align, depth, fua, write_through):
        self.size = size
        self.block = block
        self.align = align
        self.depth = depth
        self.fua = fua
        self.write_through = write_through
        self.patient = False  # a write may take its time, where that is faster: the caller would sleep anyway
        self.result = 0  # of the last completion: bytes, or a negative number

    def register(self, address, length):
        """Memory that many requests will name. Optional: it may be ignored."""

    def write(self, tag, offset, vector, count, durable):
        """Write the `count` pieces (address, length: two 64-bit words each) at `vector`. `durable`: see `fua`."""
        return False

    def read(self, tag, offset, address, length):
        """Read `length` bytes."""
        return False

    def flush(self, tag):
        """Make every write durable that was finished before."""
        return False

    def submit(self):
        """Hand over what is queued. A negative number when the device can't be reached at all."""
        return 0

    def completion(self):
        """The tag of a finished request, whose outcome is in `result` then; 0 when there is none."""
        return 0

    def bell(self):
        """A descriptor that poll(2) finds readable when something is finished; -1: nothing is ever finished later."""
        return -1

    def close(self):
        """Let go of everything, after what is out is finished; harmless to repeat."""
