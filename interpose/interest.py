"""What epoll sets want of our connections (epoll_ctl(2)), and which of those have news: all in raw memory, without
the GIL.

The kernel's set stays the truth about membership. Beside it lies a *block* for each set: an entry for each connection
of ours in it, and one bit for each entry that has to be looked at. A peer soils a bit of its pair (libos/rings.py);
whoever waits next drains the pairs and sets the bits of all entries of that connection. So a wait costs what has
happened, not what is in the set.
"""

from interpose import abi, arming, blocks, linux, sets
from libos import driver, endpoint, layout, leaving, raw, rings
from libos.runtime import wakers

COMPILED = __file__.endswith(".so")
ENOENT, EEXIST = 2, 17


def control(d, ep, op, fd, event):
    """epoll_ctl(2) on a descriptor of ours; `event` is the address of its struct epoll_event, or 0. 0, -errno, or
    CATFLAP_STALE when another thread has closed it since it was looked up.
    """
    rings.lock(sets.HERE.lock_at)
    r = abi.CATFLAP_STALE if d.forgotten else control_locked(ep, op, fd, d.handle(), event)
    rings.unlock(sets.HERE.lock_at)
    if driver.HERE.on:  # it may have gone back to the kernel
        driver.HERE.driver.carry()
    return r


def control_locked(ep, op, fd, end, event):
    unseen = op & abi.CATFLAP_UNSEEN
    op &= ~abi.CATFLAP_UNSEEN
    block = sets.block_of(ep)
    if not block and op != linux.EPOLL_CTL_DEL and end:
        block = new_block(ep)
    entry = find(block, fd, end) if block else 0
    if entry and raw.load(entry + blocks.GONE):
        if op != linux.EPOLL_CTL_ADD:
            return -ENOENT
    elif entry and op == linux.EPOLL_CTL_ADD:
        return -EEXIST
    events = raw.load32(event) if event else 0
    asked = events
    if end and op == linux.EPOLL_CTL_ADD and events & linux.EPOLLOUT and events & linux.EPOLLEXCLUSIVE:
        keep_plain(end)  # the kernel is to be asked for less later, and lets nobody change such a member
    if end and op != linux.EPOLL_CTL_DEL:
        asked = asked_of(end, events)
    if entry and not special(events) and lazily(block, entry, op, asked, events, event):
        return 0
    if entry and op == linux.EPOLL_CTL_ADD and raw.load(entry + blocks.GONE) == blocks.HIDDEN:
        if special(events):
            show(block, entry)
        else:
            op = linux.EPOLL_CTL_MOD
            # for the next time, the kernel is asked for more than this time
            asked |= raw.load(entry + blocks.KERNEL) & (linux.EPOLLIN | linux.EPOLLRDHUP)
    if block:
        rings.lock(block + blocks.LOCK)  # who hears of it from the kernel finds it noted
    r = tell_kernel(ep, op, fd, asked, raw.load(event + 4) if event else 0)
    if r or not end or not block or raw.load(block + blocks.NESTED):
        if block:
            rings.unlock(block + blocks.LOCK)
        if not r and end:
            keep_plain(end)
        return r
    if entry:
        out_of_bucket(block, entry)
    if op == linux.EPOLL_CTL_DEL:
        if entry:
            remove(block, entry)
    else:
        if not entry:
            entry = make(block, end, fd)
        if not entry:
            keep_plain(end)
        else:
            fill(block, entry, events, asked, raw.load(event + 4))
            sets.mark(entry)
            tell_waiters(block, end, unseen)
    rings.unlock(block + blocks.LOCK)
    return 0


def new_block(ep):
    """A block for a set that has none, 0 beyond the table. Under the lock."""
    if ep >= blocks.EPS:
        return 0
    block = sets.HERE.spare
    if block:
        sets.HERE.spare = raw.load(block + blocks.SPARE)
    else:
        block = wakers.reserve(blocks.FIRST + blocks.ENTRIES * blocks.SIZE)
    if block:
        raw.store(block + blocks.EP, ep)
        raw.store(block + blocks.NUMBERS, 1)
        raw.store(sets.HERE.table + ep * 8, block)
        if ep >= sets.HERE.top:
            sets.HERE.top = ep + 1
    return block


def waited_for(ep):
    """The block of a set that a thread is to wait for in the kernel, where it is counted; made when there is none."""
    rings.lock(sets.HERE.lock_at)
    block = sets.block_of(ep)
    if not block:
        block = new_block(ep)
    rings.unlock(sets.HERE.lock_at)
    return block


def special(events):
    """Edges, one shots, wake-ups and exclusiveness are told to the kernel whenever the program says them."""
    return events >> 28


def lazily(block, entry, op, asked, events, event):
    """Do without the kernel's epoll_ctl, while both directions are in the ring and the spine hardly ever has a word to
    say: what the kernel is asked for beyond what is wanted is dropped when it comes (scanning.py, spines).
    """
    if special(raw.load(entry + blocks.KERNEL)) or raw.load(entry + blocks.GONE) == blocks.REMOVED:
        return False
    if op != linux.EPOLL_CTL_DEL:
        if asked & ~raw.load(entry + blocks.KERNEL) or raw.load(entry + blocks.DATA) != raw.load(event + 4):
            return False
    if raw.load(entry + blocks.KERNEL) != asked or op != linux.EPOLL_CTL_MOD:
        if raw.load(block + blocks.SHARED) or not endpoint.in_rings(raw.load(entry + blocks.END)):
            return False
    rings.lock(block + blocks.LOCK)
    raw.store(entry + blocks.EVENTS, events)
    raw.store(entry + blocks.GONE, blocks.HIDDEN if op == linux.EPOLL_CTL_DEL else 0)
    rings.unlock(block + blocks.LOCK)
    if op != linux.EPOLL_CTL_DEL:
        sets.mark(entry)
        tell_waiters(block, raw.load(entry + blocks.END), 0)
    return True


def show(block, entry):
    """The kernel is told that the program has removed this entry."""
    raw.syscall(
        linux.SYS_epoll_ctl, raw.load(block + blocks.EP), linux.EPOLL_CTL_DEL, raw.load(entry + blocks.FD), 0, 0, 0
    )
    raw.store(entry + blocks.GONE, blocks.REMOVED)
    raw.store(entry + blocks.KERNEL, 0)


def show_hidden(end, fd):
    """A number of a connection goes where its sets' truth must be the kernel's: to the end, or out of our sight."""
    rings.lock(sets.HERE.lock_at)
    entry = raw.load(sets.watchers(end))
    while entry:
        if raw.load(entry + blocks.GONE) == blocks.HIDDEN and (fd < 0 or raw.load(entry + blocks.FD) == fd):
            show(raw.load(entry + blocks.BLOCK), entry)
        entry = raw.load(entry + blocks.OF_END)
    rings.unlock(sets.HERE.lock_at)


def show_all(block):
    """Others may use the kernel's set from now on."""
    raw.store(block + blocks.SHARED, 1)
    i = 0
    while i < raw.load(block + blocks.COUNT):
        entry = block + blocks.FIRST + i * blocks.SIZE
        if raw.load(entry + blocks.END) and raw.load(entry + blocks.GONE) == blocks.HIDDEN:
            show(block, entry)
        i += 1


def show_all_sets():
    """A child shares the kernel's sets, but not what we know of them."""
    rings.lock(sets.HERE.lock_at)
    ep = 0
    while ep < sets.HERE.top:
        if sets.block_of(ep):
            show_all(sets.block_of(ep))
        ep += 1
    rings.unlock(sets.HERE.lock_at)


def asked_of(end, wanted):
    """What the kernel is asked for: EPOLLOUT only while that direction is its own, for the spine can always be written.

    A peer that is gone reads no ring: its goodbye has us see whether there is still room for it.
    """
    if wanted & linux.EPOLLOUT and not wanted & linux.EPOLLEXCLUSIVE and leaving.sending(end):
        wanted &= ~linux.EPOLLOUT
        if raw.load(end + layout.OUT_STATE) == layout.RING:
            wanted |= linux.EPOLLRDHUP
    return wanted


def tell_waiters(block, end, unseen):
    """A connection has come into a set, or is wanted in another way, while threads may wait for it."""
    if (unseen or raw.load(block + blocks.PLAIN)) and raw.load(end + layout.IN):
        leaving.leave(end)  # who waits in the kernel hears only of what goes through it
    bell = raw.load(block + blocks.ARMED)
    if bell and raw.load(end + layout.IN):
        rings.ring_own(end, bell)


def keep_plain(end):
    """A set that we can't watch has this connection: it stays on the kernel, or goes back there."""
    leaving.leave(end)


def nested(ep):
    """Somebody waits for the set itself, as a descriptor: only the kernel can tell him, so its connections go back
    there.
    """
    block = sets.block_of(ep)
    if not block or raw.load(block + blocks.NESTED):
        return
    rings.lock(sets.HERE.lock_at)
    raw.store(block + blocks.NESTED, 1)
    show_all(block)
    i = 0
    while i < raw.load(block + blocks.COUNT):
        entry = block + blocks.FIRST + i * blocks.SIZE
        if raw.load(entry + blocks.END):
            keep_plain(raw.load(entry + blocks.END))
        i += 1
    rings.unlock(sets.HERE.lock_at)
    if driver.HERE.on:
        driver.HERE.driver.carry()


def tell_kernel(ep, op, fd, events, data):
    """epoll_ctl(2) itself, with an event of ours."""
    at = sets.HERE.lock_at + 128
    put(at, events, data)
    return raw.syscall(linux.SYS_epoll_ctl, ep, op, fd, at, 0, 0)


def find(block, fd, end):
    """The entry of a descriptor number and its connection in a set; 0 when there is none."""
    entry = raw.load(sets.watchers(end)) if end else 0
    while entry and (raw.load(entry + blocks.BLOCK) != block or raw.load(entry + blocks.FD) != fd):
        entry = raw.load(entry + blocks.OF_END)
    return entry


def make(block, end, fd):
    """A new entry, or 0 when the block is full: then the kernel alone serves this number."""
    entry = raw.load(block + blocks.FREE)
    if entry:
        raw.store(block + blocks.FREE, raw.load(entry + blocks.OF_END))
    else:
        count = raw.load(block + blocks.COUNT)
        if count == blocks.ENTRIES:
            return 0
        raw.store(block + blocks.COUNT, count + 1)
        entry = block + blocks.FIRST + count * blocks.SIZE
    raw.store(entry + blocks.BLOCK, block)
    raw.store(entry + blocks.FD, fd)
    raw.store(entry + blocks.END, end)
    raw.store(entry + blocks.OF_END, raw.load(sets.watchers(end)))
    raw.store(sets.watchers(end), entry)
    if raw.load(end + layout.MEETING):
        raw.store(block + blocks.HOPES, raw.load(block + blocks.HOPES) + 1)
    if raw.load(end + layout.IN):
        arming.watched(block, end)
    return entry


def fill(block, entry, events, asked, data):
    raw.store(entry + blocks.EVENTS, events)
    raw.store(entry + blocks.KERNEL, asked)
    raw.store(entry + blocks.DATA, data)
    raw.store(entry + blocks.GONE, 0)
    raw.store(entry + blocks.SEEN_TAIL, raw.invert(0))
    raw.store(entry + blocks.SEEN_FULLS, raw.invert(0))
    bucket = bucket_of(block, data)
    raw.store(entry + blocks.OF_BUCKET, raw.load(bucket))
    raw.store(bucket, entry)


def bucket_of(block, data):
    """By what the program will recognise the connection; pointers differ in their middle bits, numbers in their low
    ones.
    """
    return block + blocks.BUCKETS + ((data ^ (data >> 6) ^ (data >> 16)) & 1023) * 8


def out_of_bucket(block, entry):
    at = bucket_of(block, raw.load(entry + blocks.DATA))
    while raw.load(at) and raw.load(at) != entry:
        at = raw.load(at) + blocks.OF_BUCKET
    if raw.load(at):
        raw.store(at, raw.load(entry + blocks.OF_BUCKET))


def remove(block, entry):
    """An entry that is out of its bucket leaves the set."""
    end = raw.load(entry + blocks.END)
    at = sets.watchers(end)
    while raw.load(at) and raw.load(at) != entry:
        at = raw.load(at) + blocks.OF_END
    if raw.load(at):
        raw.store(at, raw.load(entry + blocks.OF_END))
    if raw.load(end + layout.MEETING):
        raw.store(block + blocks.HOPES, raw.load(block + blocks.HOPES) - 1)
    raw.store(entry + blocks.END, 0)
    raw.store(entry + blocks.OF_END, raw.load(block + blocks.FREE))
    raw.store(block + blocks.FREE, entry)


def forget(d):
    """A connection is closed: out of every set, and into none any more, for its end record will be another's."""
    rings.lock(sets.HERE.lock_at)
    d.forgotten = True
    entry = raw.load(sets.watchers(d.handle()))
    while entry:
        following = raw.load(entry + blocks.OF_END)
        block = raw.load(entry + blocks.BLOCK)
        if raw.load(entry + blocks.GONE) == blocks.HIDDEN:
            show(block, entry)  # a copy of the number may live on elsewhere
        rings.lock(block + blocks.LOCK)
        out_of_bucket(block, entry)
        remove(block, entry)
        rings.unlock(block + blocks.LOCK)
        entry = following
    rings.unlock(sets.HERE.lock_at)


def copied(ep, to):
    """The number `to` stands for the same set as `ep` (dup(2))."""
    block = sets.block_of(ep)
    if not block or to >= blocks.EPS:
        return
    rings.lock(sets.HERE.lock_at)
    raw.store(sets.HERE.table + to * 8, block)
    raw.store(block + blocks.NUMBERS, raw.load(block + blocks.NUMBERS) + 1)
    if to >= sets.HERE.top:
        sets.HERE.top = to + 1
    rings.unlock(sets.HERE.lock_at)


def other_number(block):
    """One number that still stands for a set, or 0."""
    ep = sets.HERE.top
    while ep:
        ep -= 1
        if raw.load(sets.HERE.table + ep * 8) == block:
            return ep
    return 0


def forget_set(ep):
    """An epoll descriptor is closed, perhaps the last of its set."""
    block = sets.block_of(ep)
    if not block:
        return
    rings.lock(sets.HERE.lock_at)
    raw.store(sets.HERE.table + ep * 8, 0)
    raw.store(block + blocks.NUMBERS, raw.load(block + blocks.NUMBERS) - 1)
    if raw.load(block + blocks.NUMBERS):
        raw.store(block + blocks.EP, other_number(block))
        rings.unlock(sets.HERE.lock_at)
        return
    rings.lock(block + blocks.LOCK)
    i = 0
    while i < raw.load(block + blocks.COUNT):
        entry = block + blocks.FIRST + i * blocks.SIZE
        if raw.load(entry + blocks.END):
            out_of_bucket(block, entry)
            remove(block, entry)
        i += 1
    raw.store(block + blocks.ARMED, 0)
    raw.store(block + blocks.LINEAR, 0)
    raw.store(block + blocks.NESTED, 0)
    raw.store(block + blocks.SHARED, 0)
    rings.unlock(block + blocks.LOCK)
    raw.store(block + blocks.SPARE, sets.HERE.spare)  # never given back: somebody may still be looking at it
    sets.HERE.spare = block
    rings.unlock(sets.HERE.lock_at)


def put(event, have, data):
    """Write a struct epoll_event, which is packed on x86-64."""
    raw.store32(event, have)
    raw.store32(event + 4, data)
    raw.store32(event + 8, data >> 32)
