"""Byte rings in shared memory, and how whoever waits for one hears of it.

A ring has one sender and one receiver. Positions count bytes from the start and never wrap. The record of an end
(ours alone) holds the authoritative ones; the slot's headers, which the peer maps too, hold what the other side has
to know, and what is read there is checked before it is used: a peer that scribbles harms its own connection.

A direction starts in the smallest ring, within the slot's page, and moves to a larger one when it has been full: the
sender publishes the position from which on bytes lie in the next ring, and the receiver follows when it gets there.
"""

from libos import calls, layout, raw

COMPILED = __file__.endswith(".so")
ROBBED = 16  # in the page of bells, behind who sleeps and who owns: another bell has taken a place of this one


class Here:
    """This process, as the owner of locks."""

    def __init__(self):
        self.pid = 1


HERE = Here()


def here():
    """The one Here, for interpreted rooms."""
    return HERE


def lock(at):
    """Take the lock word at `at`. Holders never sleep, and signal handlers are put off while one is held.

    True when it was taken from a process that died with it: its last step may be half done.
    """
    turns = 0
    while not raw.compare_exchange(at, 0, HERE.pid):
        raw.pause()
        turns += 1
        if turns & 1023 == 0:
            raw.syscall(calls.SYS_sched_yield, 0, 0, 0, 0, 0, 0)
            if turns & 65535 == 0 and taken_over(at):
                return True
    return False


def unlock(at):
    raw.store(at, 0)


def taken_over(at):
    """Whether the holder is another process of the family, and dead; then the lock is ours."""
    owner = raw.load(at)
    if owner == 0 or owner == HERE.pid or not raw.ended(owner):
        return False
    return raw.compare_exchange(at, owner, HERE.pid)


def span(ring, mask, at, address, count, outward):
    """Copy `count` bytes between position `at` of a ring and `address`; `outward` from the ring."""
    offset = at & mask
    first = mask + 1 - offset
    if first > count:
        first = count
    if outward:
        raw.copy(address, ring + offset, first)
        if count > first:
            raw.copy(address + first, ring, count - first)
    else:
        raw.copy(ring + offset, address, first)
        if count > first:
            raw.copy(ring, address + first, count - first)


def place(end, level, outward):
    """Address of the ring of a level, towards us or `outward`."""
    if level == 0:
        header = raw.load(end + (layout.OUT if outward else layout.IN))
        first = header - raw.load(end + layout.BASE) == 0
        return raw.load(end + layout.BASE) + layout.SMALL_RINGS + (0 if first else layout.SMALL)
    region = raw.load(end + (layout.REGION_OUT if outward else layout.REGION_IN))
    return region if level == 1 else region + layout.MIDDLE


def mask_of(level):
    """Bytes of a level's ring, less one."""
    if level == 0:
        return layout.SMALL - 1
    return (layout.MIDDLE if level == 1 else layout.BIG) - 1


def inbound(end):
    """Bytes in the rings towards us. A tail that can't be is a hostile peer's, and its own loss: nothing is there."""
    header = raw.load(end + layout.IN)
    if raw.load(header + layout.H_HEAD) & layout.CLOSED:
        return 0
    used = (raw.load(header + layout.H_TAIL) & layout.POSITIONS) - raw.load(end + layout.HEAD)
    return used if 0 <= used <= layout.BIG else 0


def inbound_here(end):
    """Bytes that can be read from the present ring, on to the next one when this one is finished. Under the lock."""
    used = inbound(end)
    level = raw.load(end + layout.IN_LEVEL)
    while used and level < layout.LEVELS - 1:
        grown = raw.load(raw.load(end + layout.IN) + layout.H_GROWN + level * 8)
        if grown == 0:
            break
        left = grown - 1 - raw.load(end + layout.HEAD)
        if left > 0:
            if left < used:
                used = left
            break
        level += 1
        raw.store(end + layout.IN_RING, place(end, level, False))
        raw.store(end + layout.IN_MASK, mask_of(level))
        raw.store(end + layout.IN_LEVEL, level)
    if used > raw.load(end + layout.IN_MASK) + 1:
        return raw.load(end + layout.IN_MASK) + 1
    return used


def finished(end, count):
    """Whether the first `count` bytes are the last ones of the present ring."""
    level = raw.load(end + layout.IN_LEVEL)
    if level >= layout.LEVELS - 1:
        return False
    return raw.load(raw.load(end + layout.IN) + layout.H_GROWN + level * 8) == raw.load(end + layout.HEAD) + count + 1


def across(end, address, done, size, flags):
    """Behind `done` bytes that finish their ring, those of the next ones: how many with them. The record stays as it
    is.
    """
    used = inbound(end)
    level = raw.load(end + layout.IN_LEVEL)
    more = True
    while more and done < size and done < used:
        level += 1
        more = False
        part = (size if size < used else used) - done
        if level < layout.LEVELS - 1:
            left = raw.load(raw.load(end + layout.IN) + layout.H_GROWN + level * 8) - 1
            left -= raw.load(end + layout.HEAD) + done
            if 0 <= left <= part:
                part = left
                more = True
        if part > mask_of(level) + 1:
            part = mask_of(level) + 1
        if not flags & calls.TRUNC:
            span(
                place(end, level, False), mask_of(level), raw.load(end + layout.HEAD) + done, address + done, part, True
            )
        done += part
    return done


def outbound(end):
    """Bytes in the rings towards the peer that it has not taken; all of it when its head can't be."""
    used = raw.load(end + layout.TAIL) - (raw.load(raw.load(end + layout.OUT) + layout.H_HEAD) & layout.POSITIONS)
    return used if 0 <= used <= layout.BIG else layout.BIG


def room(end):
    """Bytes that may be pushed now. Without the lock it is only a hint."""
    used = outbound(end)
    size = capacity(end)
    return size - used if used < size else 0


def capacity(end):
    """Bytes that may be in flight: the ring's, or what the kernel would take of them at the end of the stream, or what
    SO_SNDBUF and the peer's SO_RCVBUF allow (socket(7)).
    """
    size = raw.load(end + layout.OUT_MASK) + 1
    limit = raw.load(end + layout.KEPT)
    if limit and limit < size:
        size = limit
    limit = limit_of(end)
    return limit if limit and limit < size else size


def limit_of(end):
    """Bytes that both programs' buffer sizes allow, 0 when ours has set none."""
    limit = raw.load(end + layout.LIMIT)
    if limit:
        window = raw.load(raw.load(end + layout.OUT) + layout.H_WINDOW)
        limit += window if 0 < window < layout.BIG else layout.BIG
    return limit


def growable(end):
    """Whether there is a larger ring, and buffer sizes that allow it."""
    limit = limit_of(end)
    return raw.load(end + layout.OUT_LEVEL) + 1 < layout.LEVELS and (
        not limit or limit > raw.load(end + layout.OUT_MASK) + 1
    )


def grow(end):
    """What is pushed from now on goes to the next larger ring, if there is one. Under the lock."""
    level = raw.load(end + layout.OUT_LEVEL) + 1
    if not growable(end):
        return
    raw.store(end + layout.OUT_RING, place(end, level, True))
    raw.store(end + layout.OUT_MASK, mask_of(level))
    raw.store(end + layout.OUT_LEVEL, level)
    raw.store(raw.load(end + layout.OUT) + layout.H_GROWN + (level - 1) * 8, raw.load(end + layout.TAIL) + 1)


def soil(end):
    """Set the bit of this connection among those that the peer's sets have to look at. Set before means: not seen
    yet.
    """
    mark_dirty(end, raw.load(end + layout.DIRTY))


def mark_dirty(end, area):
    slot = raw.load(end + layout.SLOT)
    word = area + layout.DIRTY_WORDS + (slot >> 6) * 8
    if not raw.load(word) & raw.bit(slot & 63):
        raw.fetch_or(word, raw.bit(slot & 63))
    if not raw.load(area) & raw.bit(slot >> 6):
        raw.fetch_or(area, raw.bit(slot >> 6))


def owe_edge(end):
    """There was less room than asked for: our sets will have to say when there is more (epoll(7), edge-triggered)."""
    raw.store(end + layout.FULLS, raw.load(end + layout.FULLS) + 1)
    if raw.load(raw.load(end + layout.IN) + layout.H_WATCHED):
        raw.store(raw.load(end + layout.OUT) + layout.H_ROOM_WATCHED, 1)
        raw.fence()
        # our next scan looks at it: room may have come meanwhile, and the kernel is to tell should the peer go
        mark_dirty(end, raw.load(end + layout.DIRTY) ^ layout.SIDE)


def ring_bell(end, word):
    """Wake whoever sleeps on the header word at `word`. The caller has published what there is to see, and fenced."""
    bell = raw.load(word)
    if bell == 0 or bell > 63 or raw.load(raw.load(end + layout.PEER_BELLS) + bell * 64) == 0:
        return
    ring(end, raw.load(end + layout.PEER_NAMES) + bell * 64)


def ring_own(end, bell):
    """Wake a thread of our own that sleeps."""
    if raw.load(raw.load(end + layout.OUR_BELLS) + bell * 64):
        ring(end, raw.load(end + layout.OWN_NAMES) + bell * 64)


def tell_own(end):
    """Our direction has left the ring: whoever of us waits for room there has something to do."""
    if raw.load(raw.load(end + layout.IN) + layout.H_WATCHED):
        mark_dirty(end, raw.load(end + layout.DIRTY) ^ layout.SIDE)
    bell = armed(end, 2)
    if 0 < bell < 64:
        ring_own(end, bell)


def wake_own(end):
    """Ring whoever of us sleeps on this end, whatever for."""
    mask = 1
    while mask < 3:
        bell = armed(end, mask)
        if 0 < bell < 64:
            ring_own(end, bell)
        mask += 1


def ring(end, name):
    """One datagram. EAGAIN means that the bell is ringing already, and who is gone needs none."""
    raw.syscall(calls.SYS_sendto, raw.load(end + layout.BELL_SOCKET), name, 1, calls.DONTWAIT, name + 8, raw.load(name))


def tell_receiver(end):
    """Something was pushed; the tail was published with a full barrier."""
    header = raw.load(end + layout.OUT)
    if raw.load(header + layout.H_WATCHED):
        soil(end)
    if raw.load(header + layout.H_BELL):
        ring_bell(end, header + layout.H_BELL)


def tell_sender(end):
    """There is room again; the head was published with a full barrier."""
    header = raw.load(end + layout.IN)
    if raw.load(header + layout.H_ROOM_WATCHED):
        soil(end)
    if raw.load(header + layout.H_ROOM_BELL):
        ring_bell(end, header + layout.H_ROOM_BELL)


def bell_word(end, mask):
    """Where the peer finds whom to wake for what `mask` waits."""
    if mask & 2:
        return raw.load(end + layout.OUT) + layout.H_ROOM_BELL
    return raw.load(end + layout.IN) + layout.H_BELL


def armed(end, mask):
    return raw.load(bell_word(end, mask))


def arm(end, bell, mask):
    """Have the peer ring our `bell` for what `mask` waits. False when another thread sleeps on this end already."""
    word = bell_word(end, mask)
    other = raw.load(word)
    if other == bell:
        return True
    last = other if other < 64 else 0  # it may be anything: the peer writes there too
    at = raw.load(end + layout.OUR_BELLS) + last * 64
    if (last and raw.load(at)) or not raw.compare_exchange(word, other, bell):
        return False
    if last:
        # its thread, perhaps of another process, may go to sleep at this moment and trust in its place
        raw.store(at + ROBBED, 1)
        raw.fence()
        ring_own(end, last)
    return True
