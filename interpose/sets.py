"""The epoll sets of this process that have connections of ours, and how news of a connection comes to them.

A peer soils a bit of its pair (libos/rings.py). Whoever waits next drains the pairs: in every set that has the
connection, its entry is marked as one that has to be looked at.
"""

from interpose import blocks
from libos import layout, raw, rings
from libos.runtime import wakers

COMPILED = __file__.endswith(".so")


class Sets:
    """What all sets of this process share."""

    def __init__(self):
        self.table = wakers.reserve(blocks.EPS * 8)  # by epoll descriptor the address of its block
        self.watch = wakers.reserve(65536 * 8)  # by end record the first of its entries
        self.lock_at = wakers.reserve(4096)
        self.plain_at = self.lock_at + 64  # waits of poll(2) that the kernel makes now, on connections of ours
        self.spare = 0  # blocks without a set
        self.top = 0  # above every epoll descriptor that has a block
        self.arena = 0  # of the end records
        self.unseen_at = 0  # where the address of C's count of waits in the kernel is (struct catflap_ops)
        self.pairs = 0  # the first pair's block


HERE = Sets()


def here():
    """The one Sets, for interpreted rooms."""
    return HERE


def begin(libos, unseen_at):
    """Watch a libOS whose data the kernel can't see."""
    HERE.unseen_at = unseen_at
    HERE.arena = libos.records.arena
    libos.family.on_pair = pair_came
    libos.survive_forks(forked)


def forking(done):
    """Around a fork the forking thread has all locks: a child could wait for ever for one that another thread held."""
    if not done:
        rings.lock(HERE.lock_at)
    ep = 0
    while ep < HERE.top:
        block = raw.load(HERE.table + ep * 8)
        if block and raw.load(block + blocks.EP) == ep:  # once, however many numbers it has
            if done:
                rings.unlock(block + blocks.LOCK)
            else:
                rings.lock(block + blocks.LOCK)
        ep += 1
    if done:
        rings.unlock(HERE.lock_at)


def forked():
    """In a child: the parent goes on draining the pairs it had; what we have of those is looked at at every scan."""
    forking(True)
    HERE.pairs = 0
    ep = 0
    while ep < HERE.top:
        block = raw.load(HERE.table + ep * 8)
        if block:
            raw.store(block + blocks.LINEAR, 1)
            raw.store(block + blocks.ARMED, 0)
        ep += 1


def drained(pair):
    """Whether this process drains a pair."""
    other = HERE.pairs
    while other and other != pair:
        other = raw.load(other + 16)
    return other != 0


def pair_came(block, here):
    """A pair of processes is to be drained from now on, or no more. Called with the GIL."""
    rings.lock(HERE.lock_at)
    if here:
        raw.store(block + 16, HERE.pairs)
        HERE.pairs = block
    elif HERE.pairs == block:
        HERE.pairs = raw.load(block + 16)
    else:
        other = HERE.pairs
        while other and raw.load(other + 16) != block:
            other = raw.load(other + 16)
        if other:
            raw.store(other + 16, raw.load(block + 16))
    rings.unlock(HERE.lock_at)


def watchers(end):
    """Address of the word that has the first entry of an end."""
    return HERE.watch + (end - HERE.arena) // layout.RECORD * 8


def mark(entry):
    """An entry has to be looked at."""
    block = raw.load(entry + blocks.BLOCK)
    i = (entry - block - blocks.FIRST) // blocks.SIZE
    raw.fetch_or(block + blocks.READY + (i >> 6) * 8, raw.bit(i & 63))
    raw.fetch_or(block + blocks.TOP + (i >> 12) * 8, raw.bit((i >> 6) & 63))


def mark_all(end):
    entry = raw.load(watchers(end))
    while entry:
        mark(entry)
        entry = raw.load(entry + blocks.OF_END)


def drain():
    """Hand on what peers have soiled to the sets that wait for it."""
    rings.lock(HERE.lock_at)
    pair = HERE.pairs
    while pair:
        area = raw.load(pair) + layout.SIDE * raw.load(pair + 8)
        if raw.load(area):
            drain_pair(pair, area)
        pair = raw.load(pair + 16)
    rings.unlock(HERE.lock_at)


def drain_pair(pair, area):
    summary = raw.exchange(area, 0)
    while summary:
        i = raw.ctz(summary)
        summary &= summary - 1
        soiled = raw.exchange(area + layout.DIRTY_WORDS + i * 8, 0)
        while soiled:
            end = raw.load(pair + 64 + (i * 64 + raw.ctz(soiled)) * 8)
            soiled &= soiled - 1
            if end:
                mark_all(end)


def distrust(bell):
    """Another bell has taken a place of this one: the sets for which it was armed arm it again."""
    rings.lock(HERE.lock_at)
    ep = 0
    while ep < HERE.top:
        block = raw.load(HERE.table + ep * 8)
        if block and raw.load(block + blocks.ARMED) == bell:
            raw.store(block + blocks.ARMED, 0)
        ep += 1
    rings.unlock(HERE.lock_at)


def block_of(ep):
    return raw.load(HERE.table + ep * 8) if ep < blocks.EPS else 0
