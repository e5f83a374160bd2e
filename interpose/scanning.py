"""One look at an epoll set: events of connections whose data is in a ring, level and edge triggered (epoll(7))."""

from interpose import blocks, interest, linux, sets
from libos import endpoint, layout, leaving, raw, rings, spine

COMPILED = __file__.endswith(".so")
ALWAYS = 0x18  # EPOLLERR | EPOLLHUP are told whether wanted or not


def scan(block, events, n):
    """Write up to `n` events of rings to `events`; how many. Where one scan ends the next begins."""
    sets.drain()
    if raw.load(block + blocks.LINEAR):
        mark_every(block)
    rings.lock(block + blocks.LOCK)
    start = raw.load(block + blocks.CURSOR)
    found = scan_words(block, start, 1024, events, n, 0)
    if found < n and start:
        found = scan_words(block, 0, start, events, n, found)
    rings.unlock(block + blocks.LOCK)
    return found


def scan_words(block, first, last, events, n, found):
    """The words `first` to `last` of the entries that have to be looked at."""
    top = first >> 6
    while top <= (last - 1) >> 6:
        bits = raw.load(block + blocks.TOP + top * 8)
        while bits:
            word = top * 64 + raw.ctz(bits)
            bits &= bits - 1
            if word < first or word >= last:
                continue
            if found == n:
                raw.store(block + blocks.CURSOR, word)
                return found
            found = scan_word(block, word, events, n, found)
        top += 1
    return found


def scan_word(block, word, events, n, found):
    at = block + blocks.READY + word * 8
    bits = raw.load(at)
    while bits and found < n:
        i = raw.ctz(bits)
        bits &= bits - 1
        # cleared before the look, so that what comes meanwhile is not lost
        raw.fetch_and(at, raw.invert(raw.bit(i)))
        entry = block + blocks.FIRST + (word * 64 + i) * blocks.SIZE
        if not raw.load(entry + blocks.END) or raw.load(entry + blocks.GONE):
            continue
        have = have_now(block, entry)
        if have:
            interest.put(events + found * 12, have, raw.load(entry + blocks.DATA))
            found += 1
        wanted = raw.load(entry + blocks.EVENTS)
        if (have and not wanted & linux.EPOLLET) or between(raw.load(entry + blocks.END), wanted):
            raw.fetch_or(at, raw.bit(i))
    if not raw.load(at):
        top = block + blocks.TOP + (word >> 6) * 8
        raw.fetch_and(top, raw.invert(raw.bit(word & 63)))
        if raw.load(at):
            raw.fetch_or(top, raw.bit(word & 63))
    return found


def between(end, wanted):
    """Nobody will tell us when it goes on: the ring has bytes that come after some which the kernel still has, or bytes
    that a reader has given back wait for room in the kernel, or a full ring may grow.
    """
    if raw.load(end + layout.OUT_STATE) == layout.REPLAYING or raw.load(end + layout.OUT_STATE) == layout.PARTING:
        return True
    if wanted & linux.EPOLLOUT and raw.load(end + layout.OUT_STATE) == layout.RING:
        if not endpoint.writable(end) and rings.growable(end):
            return True
    return raw.load(end + layout.IN_STATE) == layout.AGREED and rings.inbound(end) != 0


def mark_every(block):
    """After a fork two processes drain the same pairs, so that each has to look at everything."""
    i = 0
    while i < raw.load(block + blocks.COUNT):
        entry = block + blocks.FIRST + i * blocks.SIZE
        if raw.load(entry + blocks.END):
            sets.mark(entry)
        i += 1


def have_now(block, entry):
    """The events of one entry."""
    end = raw.load(entry + blocks.END)
    wanted = raw.load(entry + blocks.EVENTS)
    if raw.load(end + layout.IN):
        if raw.load(raw.load(end + layout.IN) + layout.H_TAIL) & layout.ENDED:
            raw.store(block + blocks.ENDING, 1)  # what follows the ring only the kernel can tell
            if raw.load32(end + layout.MINT) and wanted & linux.EPOLLET:  # and it may have told that before
                ask_kernel(block, entry, interest.asked_of(end, wanted))
        if not leaving.settle(end):
            raw.store(block + blocks.REPLAYS, 1)
    masks(block, entry, end, wanted)
    if not endpoint.upgraded(end):
        return 0
    ready = endpoint.ready(end, (1 if wanted & linux.EPOLLIN else 0) | (2 if wanted & linux.EPOLLOUT else 0))
    if wanted & linux.EPOLLOUT and raw.load(end + layout.OUT_STATE) == layout.RING:
        ready |= wait_for_room(block, end, ready)
    if ready & 2 and endpoint.reader_left(end):  # while we looked
        return have_now(block, entry)
    if not ready:
        return 0
    if wanted & linux.EPOLLET:
        # an edge on either side reports all that is true
        edge = ready & 9 and raw.load(entry + blocks.SEEN_TAIL) != endpoint.inward(end)
        if not edge and not (ready & 2 and raw.load(entry + blocks.SEEN_FULLS) != raw.load(end + layout.FULLS)):
            return 0
        # only what is told now: the other side's edge is still owed
        if ready & 9:
            raw.store(entry + blocks.SEEN_TAIL, endpoint.inward(end))
        if ready & 2:
            raw.store(entry + blocks.SEEN_FULLS, raw.load(end + layout.FULLS))
    if wanted & linux.EPOLLOUT and not ready & 2 and not leaving.sending(end):
        if spine.spine_writable(end):  # that direction is still the kernel's, and one report says all
            ready |= 2
    have = linux.EPOLLIN | (wanted & linux.EPOLLRDNORM) if ready & 1 else 0
    if ready & 2:
        have |= linux.EPOLLOUT | (wanted & linux.EPOLLWRNORM)
    if ready & 8:
        have |= linux.EPOLLERR
    if have and wanted & linux.EPOLLONESHOT:
        raw.store(entry + blocks.EVENTS, 0)
        ask_kernel(block, entry, 0)
    return have


def masks(block, entry, end, wanted):
    """The kernel is asked for EPOLLOUT exactly while that direction is its own."""
    asked = interest.asked_of(end, wanted)
    if asked != raw.load(entry + blocks.KERNEL) and wanted:
        if asked & ~raw.load(entry + blocks.KERNEL) or not endpoint.in_rings(end):
            ask_kernel(block, entry, asked)


def ask_kernel(block, entry, events):
    raw.store(entry + blocks.KERNEL, events)
    at = block + blocks.SAID
    interest.put(at, events, raw.load(entry + blocks.DATA))
    raw.syscall(
        linux.SYS_epoll_ctl,
        raw.load(block + blocks.EP),
        linux.EPOLL_CTL_MOD,
        raw.load(entry + blocks.FD),
        at,
        0,
        0,
    )


def wait_for_room(block, end, ready):
    """WRITABLE, or have the peer say when there is room, and look again: at once, and soon if the ring may grow."""
    word = raw.load(end + layout.OUT) + layout.H_ROOM_WATCHED
    if ready & 2:
        if raw.load(word):
            raw.store(word, 0)
        return 2
    raw.store(word, 1)
    raw.fence()
    if not endpoint.stretch(end):
        raw.store(block + blocks.REPLAYS, 1)
    return endpoint.ready(end, 2)


def spines(block, events, n):
    """Tell the connections among the kernel's `n` events that their spine has something to say; how many events are
    wanted, those first.
    """
    kept = 0
    i = 0
    rings.lock(block + blocks.LOCK)
    while i < n:
        at = events + i * blocks.EVENT
        entry = heard(block, at)
        if entry and not translate(entry, at):
            unwanted(block, entry)
        else:
            if kept != i:
                raw.copy(events + kept * blocks.EVENT, at, blocks.EVENT)
            kept += 1
        i += 1
    rings.unlock(block + blocks.LOCK)
    return kept


def heard(block, event):
    """The entry that a kernel's event is for, told that its spine is to be looked at; 0 when it is to be left as it
    is: none of ours, of several with the same data, or a one shot, which the kernel has disarmed.
    """
    data = raw.load(event + 4)
    one = 0
    several = False
    entry = raw.load(interest.bucket_of(block, data))
    while entry:
        end = raw.load(entry + blocks.END)
        if raw.load(entry + blocks.DATA) == data and end and raw.load(entry + blocks.GONE) != blocks.REMOVED:
            several = several or one != 0
            one = entry
            endpoint.look_next(end)
            if raw.load(entry + blocks.EVENTS) & linux.EPOLLONESHOT and translate(entry, event):
                raw.store(entry + blocks.EVENTS, 0)
                raw.store(entry + blocks.KERNEL, 0)
                several = True
        entry = raw.load(entry + blocks.OF_BUCKET)
    return 0 if several else one


def unwanted(block, entry):
    """The kernel was asked for more than is wanted (interest.py, lazily), or for a goodbye that has changed what to ask
    it for: now it is told.
    """
    if raw.load(entry + blocks.GONE) == blocks.HIDDEN:
        interest.show(block, entry)
    else:
        ask_kernel(block, entry, interest.asked_of(raw.load(entry + blocks.END), raw.load(entry + blocks.EVENTS)))


def translate(entry, event):
    """What of a kernel's event is wanted. A goodbye may stand for EPOLLOUT too (interest.py, asked_of); who did not ask
    for it is not told.
    """
    have = raw.load32(event)
    wanted = raw.load(entry + blocks.EVENTS)
    if have & (linux.EPOLLRDHUP | linux.EPOLLHUP) and wanted & linux.EPOLLOUT:
        if endpoint.room_after_goodbye(raw.load(entry + blocks.END)):
            have |= linux.EPOLLOUT
    have &= (wanted & 0xFFFF) | ALWAYS
    raw.store32(event, have)
    return have != 0 and not raw.load(entry + blocks.GONE)


def merge(events, found, more):
    """The kernel's `more` events behind `found` of ours, a descriptor reported once. Returns how many there are."""
    kept = found
    i = found
    while i < found + more:
        j = 0
        while j < found and not same(events + i * 12, events + j * 12):
            j += 1
        if j < found:
            raw.store32(events + j * 12, raw.load32(events + j * 12) | raw.load32(events + i * 12))
        else:
            if kept != i:
                raw.copy(events + kept * 12, events + i * 12, 12)
            kept += 1
        i += 1
    return kept


def same(a, b):
    return raw.load32(a + 4) == raw.load32(b + 4) and raw.load32(a + 8) == raw.load32(b + 8)
