"""A queue over a kernel TCP connection that may move to shared memory: libos/endpoint.py by way of the Queue
contract.
"""

from posix import close

from libos import calls, endpoint, layout, leaving, raw, rings, spine
from libos.kernel_queue import KernelQueue
from libos.memory_file import high_copy

COMPILED = __file__.endswith(".so")
NOBODY = (1 << 31) - 1  # no descriptor has this number


class LoopQueue(KernelQueue):
    """`end` is the address of its record; `uses` counts inline successes until the connection is worth a meeting."""

    def __init__(self, qd, fd, end, worth=32):
        KernelQueue.__init__(self, qd, fd)
        self.end = end
        self.uses = 0
        self.next_step = worth
        self.accepting = False
        self.meeting = None
        self.crossing = None  # what it is on a network of our own (libos/network.py)
        self.owner = None
        self.attended = False
        spine.set_fd(end, fd)
        spine.nobody_sleeps(end)

    def move(self, fd):
        self.fd = fd
        spine.set_fd(self.end, fd)

    def stands(self, fd):
        """Whether a number stands for this connection: one that was closed behind our back may be given away again."""
        return self.meeting is not None and self.meeting.holds(fd)

    def keep(self, number):
        """Go on by a copy of the last number, for who sleeps on this connection. Where that is another's already, the
        connection is closed, and they are to hear of it. Raises OSError.
        """
        copy = high_copy(number)
        if self.stands(copy):
            self.move(copy)
        else:
            close(copy)
            self.move(NOBODY)
            rings.wake_own(self.end)

    def __del__(self):
        """No thread can be inside any more: the record may go."""
        if self.owner is not None:
            self.owner.freed(self)

    def pop_into(self, address, size, flags):
        return endpoint.pop(self.end, address, size, flags)

    def push_from(self, address, size, flags):
        return endpoint.push(self.end, address, size, flags)

    def length(self, message):
        """Bytes that the segments of a struct msghdr hold; -1 when the kernel refuses it, in its own words."""
        segment = raw.load(message + 16)
        count = raw.load(message + 24)
        if count == 0:
            return 0
        if count > 1024 or segment < 65536:
            return -1
        last = segment + 16 * count
        total = 0
        while segment < last:
            if raw.load(segment + 8) and raw.load(segment) < 65536:
                return -1
            total += raw.load(segment + 8)
            if total >> 62 or raw.load(segment + 8) >> 62:
                return -1
            segment += 16
        return total

    def pop_message(self, message, flags):
        if not endpoint.upgraded(self.end):
            return KernelQueue.pop_message(self, message, flags)
        if self.length(message) < 0 or flags & calls.SPINE_ONLY:
            return KernelQueue.pop_message(self, message, flags)
        return self.pop_rest(message, 0, flags)

    def push_message(self, message, flags):
        if raw.load(self.end + layout.OUT) == 0 or raw.load(self.end + layout.OUT_STATE) == layout.KERNEL:
            return KernelQueue.push_message(self, message, flags)
        if self.length(message) <= 0 or flags & calls.SPINE_ONLY:
            return KernelQueue.push_message(self, message, flags)
        return self.push_rest(message, 0, flags)

    def beside(self, outward):
        """Bytes in the ring towards us, or `outward` towards the peer."""
        if not endpoint.upgraded(self.end):
            return 0
        if raw.load(self.end + layout.IN_STATE) == layout.MESSAGES:  # of the first datagram
            return 0 if outward else raw.load(self.end + layout.POSITION)
        if outward:
            return rings.outbound(self.end) if leaving.sending(self.end) else 0
        return rings.inbound(self.end) if raw.load(self.end + layout.IN_STATE) != layout.PLAIN else 0

    def push_rest(self, message, done, flags):
        """As push_message, without the first `done` bytes of its segments."""
        return self.move_rest(message, done, flags, False)

    def pop_rest(self, message, done, flags):
        """As pop_message, behind the first `done` bytes of its segments."""
        if flags & calls.PEEK and raw.load(self.end + layout.IN_STATE) == layout.PLAIN:
            return KernelQueue.pop_message(self, message, flags)
        r = self.move_rest(message, done, flags, True) if self.length(message) else endpoint.pop(self.end, 0, 0, flags)
        if r >= 0:
            self.bare(message)
        return r

    def bare(self, message):
        """What comes with bytes of a stream: no control data, no flags, no name."""
        raw.store(message + 40, 0)
        raw.store32(message + 48, 0)
        raw.store32(message + 8, 0)

    def move_rest(self, message, done, flags, inward):
        segment = raw.load(message + 16)
        last = segment + 16 * raw.load(message + 24)
        moved = 0
        r = 0
        while segment < last:
            part = raw.load(segment + 8)
            if done >= part:
                done -= part
            else:
                if inward:
                    r = endpoint.pop(self.end, raw.load(segment) + done, part - done, flags)
                else:
                    # a signal belongs to a call that has sent nothing
                    r = endpoint.push(
                        self.end, raw.load(segment) + done, part - done, flags | calls.NOSIGNAL if moved else flags
                    )
                if r < 0:
                    break
                moved += r
                if r < part - done:
                    break
                done = 0
                if flags & calls.PEEK:
                    return moved + self.peek_on(segment + 16, last, moved, flags)
            segment += 16
        return moved if moved else r

    def peek_on(self, segment, last, seen, flags):
        """Look at what is in the ring behind the first `seen` bytes, into the segments up to `last`; how much."""
        r = 0
        spine.lock_in(self.end)
        if raw.load(self.end + layout.IN_STATE) == layout.RING:
            there = rings.inbound_here(self.end)
            there = there - seen if there > seen else 0
            while segment < last and r < there:
                part = raw.load(segment + 8)
                if part > there - r:
                    part = there - r
                if not flags & calls.TRUNC:
                    ring = raw.load(self.end + layout.IN_RING)
                    mask = raw.load(self.end + layout.IN_MASK)
                    at = raw.load(self.end + layout.HEAD) + seen + r
                    rings.span(ring, mask, at, raw.load(segment), part, True)
                r += part
                segment += 16
        rings.unlock(self.end + layout.IN_LOCK)
        return r

    def upgraded(self):
        return endpoint.upgraded(self.end)

    def ready(self, mask):
        return endpoint.ready(self.end, mask)

    def arm(self, bell, mask):
        return rings.arm(self.end, bell, mask)
