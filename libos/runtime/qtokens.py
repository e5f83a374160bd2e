"""Qtokens of blocked operations of native threads: the only ones that cost anything (SOSP '21, section 4.2).

A token is 64 bits: a generation above a slot number, so that a stale one is refused. Its slot is a waker slot:
`complete` sets the bit, `take` consumes it and retires the token. Lock-free, callable without the GIL from any thread.
"""

from libos import raw
from libos.runtime import wakers
from libos.runtime.wakers import Wakers

COMPILED = __file__.endswith(".so")
CAPACITY = 1 << 16


class Qtokens:
    """Up to 65,536 blocked operations at a time; one more gets token 0, which is never live."""

    def __init__(self):
        self.bits = Wakers(CAPACITY)
        self.tokens_at = wakers.reserve(CAPACITY * 16)
        self.counters_at = wakers.reserve(4096)
        if not (self.tokens_at and self.counters_at):
            raise MemoryError("no address space for qtokens")

    def block(self, kind, qd):
        """A new blocked token for an operation of `kind` on `qd`."""
        slot = self.bits.claim()
        if slot < 0:
            return 0
        # word 0 counts blocked operations and numbers the generations
        qtoken = ((raw.fetch_add(self.counters_at, 1) & 0x7FFFFFFF) + 1) << 32 | slot
        at = self.tokens_at + slot * 16
        raw.store(at + 8, (qd << 8) | kind)
        raw.store(at, qtoken)
        return qtoken

    def about(self, qtoken):
        """What `block` was told of a live token: qd << 8 | kind; 0 otherwise."""
        at = self.tokens_at + (qtoken & 0xFFFF) * 16
        return raw.load(at + 8) if qtoken and raw.load(at) == qtoken else 0

    def complete(self, qtoken):
        """The operation is done: set its bit. False for a token that isn't live."""
        if qtoken == 0 or raw.load(self.tokens_at + (qtoken & 0xFFFF) * 16) != qtoken:
            return False
        self.bits.wake(qtoken & 0xFFFF)
        return True

    def take(self, qtoken):
        """Consume the completion and retire the token. False when it isn't complete or isn't live."""
        slot = qtoken & 0xFFFF
        if qtoken == 0 or raw.load(self.tokens_at + slot * 16) != qtoken or not self.bits.take(slot):
            return False
        return self.retire(qtoken, 1)

    def drop(self, qtoken):
        """Retire a token that nobody will take. False when it isn't live."""
        return qtoken != 0 and self.retire(qtoken, 2)

    def retire(self, qtoken, counter):
        slot = qtoken & 0xFFFF
        at = self.tokens_at + slot * 16
        if not raw.compare_exchange(at, qtoken, 0):
            return False
        raw.fetch_add(self.counters_at + counter * 8, 1)
        self.bits.release(slot)
        return True

    def count(self, counter):
        """How many were 0: blocked, 1: completed and taken, 2: dropped."""
        return raw.load(self.counters_at + counter * 8)

    def live(self):
        """Blocked and neither taken nor dropped."""
        return self.count(0) - self.count(1) - self.count(2)
