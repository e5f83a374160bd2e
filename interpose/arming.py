"""Whose bell the peers of an epoll set's connections ring, and which sets a connection on its way to a ring is in.

A thread that sleeps on a set arms its bell at every connection of it, once: the set remembers which bell that was.
"""

from interpose import blocks, sets
from libos import layout, raw, rings

COMPILED = __file__.endswith(".so")


def watched(block, end):
    """From now on the peer says when there is something, also to a thread that has armed its bell for the whole set."""
    raw.store(raw.load(end + layout.IN) + layout.H_WATCHED, 1)
    if not sets.drained(raw.load(end + layout.PAIR)):
        raw.store(block + blocks.LINEAR, 1)
    if raw.load(block + blocks.ARMED):
        bell = raw.load(block + blocks.ARMED)
        if not (arm_for(end, bell, 1, block) and arm_for(end, bell, 2, block)):
            raw.store(block + blocks.ARMED, 0)
            rings.ring_own(end, bell)  # another thread sleeps on this connection: ours has to look now and then


def hope(end, begun):
    """A connection has begun to meet its peer, or has given up: its sets are waited for on the host while it may
    move.
    """
    rings.lock(sets.HERE.lock_at)
    if raw.load(end + layout.MEETING) != begun:
        raw.store(end + layout.MEETING, begun)
        entry = raw.load(sets.watchers(end))
        while entry:
            block = raw.load(entry + blocks.BLOCK)
            rings.lock(block + blocks.LOCK)
            raw.store(block + blocks.HOPES, raw.load(block + blocks.HOPES) + (1 if begun else -1))
            rings.unlock(block + blocks.LOCK)
            entry = raw.load(entry + blocks.OF_END)
    rings.unlock(sets.HERE.lock_at)


def attached(end):
    """A connection has its rings: the sets that have it look at them from now on."""
    rings.lock(sets.HERE.lock_at)
    entry = raw.load(sets.watchers(end))
    while entry:
        watched(raw.load(entry + blocks.BLOCK), end)
        sets.mark(entry)
        entry = raw.load(entry + blocks.OF_END)
    rings.unlock(sets.HERE.lock_at)


def in_kernel(end):
    """Whether a thread waits in the kernel's own call for a set that has this connection."""
    if raw.load(sets.HERE.plain_at):
        return True
    entry = raw.load(sets.watchers(end))
    while entry:
        block = raw.load(entry + blocks.BLOCK)
        if raw.load(block + blocks.PLAIN) or unseen(raw.load(block + blocks.EP)):
            return True
        entry = raw.load(entry + blocks.OF_END)
    return False


def unseen(ep):
    """Threads that wait in the kernel for a set since before we had anything in it."""
    table = raw.load(sets.HERE.unseen_at) if sets.HERE.unseen_at else 0
    return raw.load(table + (ep >> 2) * 8) >> (ep & 3) * 16 & 0xFFFF if table else 0


def arm(end, bell, mask):
    """As rings.arm, for one connection; sets that had their own bell there arm it again before they sleep."""
    if not raw.load(sets.watchers(end)):
        return rings.arm(end, bell, mask)
    rings.lock(sets.HERE.lock_at)
    alone = arm_for(end, bell, mask, 0)
    rings.unlock(sets.HERE.lock_at)
    return alone


def arm_for(end, bell, mask, block):
    """Arm a bell on behalf of the set `block`, or of none. Under the lock."""
    if rings.armed(end, mask) == bell:
        return True
    if not rings.arm(end, bell, mask):
        return False
    entry = raw.load(sets.watchers(end))
    while entry:
        if raw.load(entry + blocks.BLOCK) != block:
            raw.store(raw.load(entry + blocks.BLOCK) + blocks.ARMED, 0)
        entry = raw.load(entry + blocks.OF_END)
    return True


def arm_all(block, bell):
    """Have a thread's bell rung by every connection of a set. False when another thread sleeps on one of them."""
    alone = True
    rings.lock(sets.HERE.lock_at)
    rings.lock(block + blocks.LOCK)
    i = 0
    while i < raw.load(block + blocks.COUNT):
        end = raw.load(block + blocks.FIRST + i * blocks.SIZE + blocks.END)
        if end and raw.load(end + layout.IN):
            if not arm_for(end, bell, 1, block):
                alone = False
            if not arm_for(end, bell, 2, block):
                alone = False
        i += 1
    rings.unlock(block + blocks.LOCK)
    raw.store(block + blocks.ARMED, bell if alone else 0)
    rings.unlock(sets.HERE.lock_at)
    return alone
