"""A file or block device by io_uring, with direct I/O: the embedded block device.

A durable write is one request with RWF_DSYNC: the kernel sets FUA or sends a flush after it, as the device needs.
The calls of liburing are in a small library of their own (uring.c), reached by their addresses.
"""

from libos import raw
from libos.blocks.block_device import BlockDevice
from libos.blocks.uring_library import functions
from libos.errors import Fail, Kind

COMPILED = __file__.endswith(".so")
DEPTH = 64
WRITE, WRITE_FIXED, READ, FLUSH = 0, 1, 2, 3  # uring.c
RWF_DSYNC = 2  # linux/fs.h
COOP_TASKRUN = 0x100  # io_uring_setup(2)
PWRITEV2 = 328  # asm/unistd_64.h


class UringDevice(BlockDevice):
    """Over a BlockFile. `scratch`: memory of 128 bytes, a multiple of 8. While it is `patient`, a write is done when it
    is asked for, by whoever has nothing else to wait for. Raises UNSUPPORTED, DEVICE.
    """

    def __init__(self, file, scratch):
        BlockDevice.__init__(self, file.size, file.block, file.align, DEPTH, True, file.write_through)
        found = functions()
        self.queue_at, self.submit_at, self.completion_at = found["queue"], found["submit"], found["completion"]
        self.close_at, self.register_at = found["close"], found["register"]
        self.fd = file.fd
        self.scratch = scratch
        self.fixed = self.fixed_end = 0
        self.queued = self.out = 0
        self.finished, self.outcome = 0, 0  # of a write that was waited for
        self.ring_fd = raw.call3(found["open"], scratch, DEPTH, COOP_TASKRUN)
        if self.ring_fd < 0:
            raise Fail(Kind.UNSUPPORTED, f"no io_uring here (error {-self.ring_fd})")
        self.ring = raw.load(scratch)

    def register(self, address, length):
        if raw.call3(self.register_at, self.ring, address, length) == 0:
            self.fixed, self.fixed_end = address, address + length

    def ask(self, operation, tag, offset, address, length, flags):
        at = self.scratch
        raw.store(at, operation)
        raw.store(at + 8, self.fd)
        raw.store(at + 16, offset)
        raw.store(at + 24, address)
        raw.store(at + 32, length)
        raw.store(at + 40, flags)
        raw.store(at + 48, tag)
        if raw.call2(self.queue_at, self.ring, at) == 0:
            return False
        self.queued += 1
        self.out += 1
        return True

    def write(self, tag, offset, vector, count, durable):
        flags = RWF_DSYNC if durable and not self.write_through else 0
        if self.patient and self.finished == 0:
            # the kernel finishes such a write in the thread that waits for it, any other in a worker that it wakes
            self.outcome = raw.syscall(PWRITEV2, self.fd, vector, count, offset, 0, flags)
            self.finished = tag
            return True
        if count == 1:
            address, length = raw.load(vector), raw.load(vector + 8)
            if self.fixed <= address and address + length <= self.fixed_end:
                return self.ask(WRITE_FIXED, tag, offset, address, length, flags)
        return self.ask(WRITE, tag, offset, vector, count, flags)

    def read(self, tag, offset, address, length):
        return self.ask(READ, tag, offset, address, length, 0)

    def flush(self, tag):
        return self.ask(FLUSH, tag, 0, 0, 0, 0)

    def submit(self):
        return self.hand_over()

    def hand_over(self):
        """`submit`, without the GIL; as `ask`, one thread at a time."""
        if self.queued == 0:
            return 0
        done = raw.call2(self.submit_at, self.ring, 0)
        if done > 0:
            self.queued -= done
        return done

    def completion(self):
        if self.finished != 0:
            tag, self.finished = self.finished, 0
            self.result = self.outcome
            return tag
        return self.taken()

    def taken(self):
        """`completion`, without the GIL."""
        if self.out == 0 or raw.call2(self.completion_at, self.ring, self.scratch + 64) == 0:
            return 0
        self.out -= 1
        # a 64-bit word that holds a negative number
        result = raw.load(self.scratch + 72)
        self.result = -1 if result >> 63 else result
        return raw.load(self.scratch + 64)

    def bell(self):
        return self.ring_fd

    def close(self):
        if self.ring:
            raw.call2(self.close_at, self.ring, 0)
            self.ring = 0
