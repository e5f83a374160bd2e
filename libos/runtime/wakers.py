"""Waker blocks: readiness as one bit each in 64-bit words (SOSP '21, section 5.4; Lemire's set-bit iteration).

A slot stands for one coroutine or one blocked qtoken. One word per 64 slots says which are claimed, one which are
ready, and a summary level has one bit per ready word, so that a scan is short however many slots are blocked. Each
step is one atomic operation: any thread may wake, and a signal handler may interrupt any of these functions and call
them again.
"""

from libos import calls, raw

COMPILED = __file__.endswith(".so")


def reserve(size):
    """Address of `size` zero bytes that take memory only where they are touched (mmap(2)); below 4096 on failure."""
    address = raw.syscall(calls.SYS_mmap, 0, size, calls.READ_WRITE, calls.RESERVED, -1, 0)
    return address if address > 0 else 0


class Wakers:
    """`capacity` slots, numbered from 0. Every method may be called from any thread, without the GIL."""

    def __init__(self, capacity):
        self.words = (capacity + 63) // 64
        self.groups = (self.words + 63) // 64
        self.used_at = reserve(self.words * 8)
        self.ready_at = reserve(self.words * 8)
        self.summary_at = reserve(self.groups * 8)
        if not (self.used_at and self.ready_at and self.summary_at):
            raise MemoryError(f"no address space for {capacity} wakers")
        self.cursor = 0
        self.full = raw.invert(0)
        if capacity % 64:  # the slots beyond capacity are taken for ever
            raw.store(self.used_at + (self.words - 1) * 8, raw.invert(raw.bit(capacity % 64) - 1))

    def claim(self):
        """A free slot, not ready; -1 when all are taken."""
        i = 0
        while i < self.words:
            at = self.used_at + i * 8
            word = raw.load(at)
            while word != self.full:
                n = raw.ctz(raw.invert(word))
                if raw.compare_exchange(at, word, word | raw.bit(n)):
                    return i * 64 + n
                word = raw.load(at)
            i += 1
        return -1

    def release(self, slot):
        """Give a claimed slot back."""
        self.take(slot)
        raw.fetch_and(self.used_at + (slot >> 6) * 8, raw.invert(raw.bit(slot & 63)))

    def wake(self, slot):
        """Make a slot ready; waking a ready one changes nothing."""
        raw.fetch_or(self.ready_at + (slot >> 6) * 8, raw.bit(slot & 63))
        # always, since a scan may be clearing the summary bit of the word that was just made non-zero
        raw.fetch_or(self.summary_at + (slot >> 12) * 8, raw.bit((slot >> 6) & 63))

    def take(self, slot):
        """Consume the readiness of one slot; false when it was not ready."""
        bit = raw.bit(slot & 63)
        return raw.fetch_and(self.ready_at + (slot >> 6) * 8, raw.invert(bit)) & bit != 0

    def take_first(self, word, ready):
        """Consume the first ready slot of `word` among the bits of `ready`; -1 when another thread took them all."""
        while ready:
            n = raw.ctz(ready)
            if self.take(word * 64 + n):
                self.cursor = word * 64 + n + 1
                return word * 64 + n
            ready &= ready - 1
        return -1

    def next(self):
        """Consume the next ready slot, going round from the last one so that none starves; -1 when none is ready."""
        word = self.cursor >> 6
        if word >= self.words:
            word = 0
            self.cursor = 0
        slot = self.take_first(word, raw.load(self.ready_at + word * 8) & raw.invert(raw.bit(self.cursor & 63) - 1))
        if slot >= 0:
            return slot
        group = word >> 6
        # the words after the cursor's in its group first, then group by group round to the words before it
        some = raw.load(self.summary_at + group * 8) & raw.invert(raw.bit(word & 63) - 1)
        some &= raw.invert(raw.bit(word & 63))
        i = 0
        while i <= self.groups:
            while some:
                n = raw.ctz(some)
                word = group * 64 + n
                slot = self.take_first(word, raw.load(self.ready_at + word * 8))
                if slot >= 0:
                    return slot
                raw.fetch_and(self.summary_at + group * 8, raw.invert(raw.bit(n)))
                if raw.load(self.ready_at + word * 8):
                    raw.fetch_or(self.summary_at + group * 8, raw.bit(n))
                else:
                    some &= some - 1
            group += 1
            if group >= self.groups:
                group = 0
            some = raw.load(self.summary_at + group * 8)
            i += 1
        return -1
