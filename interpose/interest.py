"""Readiness of what the kernel can't see: poll sets and epoll sets with connections whose data is in a ring.

The kernel's epoll set stays the truth about membership. Beside it lies, in raw memory, one entry for each of our connections
in it, so that a waiting thread scans without the GIL. A set is scanned, spun on while that pays, and slept on together with
this thread's bell; the kernel's side of it is asked on every sixteenth turn while rings are busy.
"""

from interpose import abi, description, linux
from libos import calls, endpoint, layout, raw
from libos.runtime import wakers

COMPILED = __file__.endswith(".so")
SETS = 65536
EVENT = 12  # bytes of a struct epoll_event on x86-64
ENTRY, ENTRIES = 48, 65536


class Sets:
    """By epoll descriptor the address of its block: count, lock, turn; entries from 64 on (end, fd, events, data, seen)."""

    def __init__(self):
        self.table = wakers.reserve(65536 * 8)
        self.spin = 20000  # ns
        self.top = 0  # above every epoll descriptor that has a block
        self.plain_at = wakers.reserve(4096)


SETS_HERE = Sets()


def sets():
    """The one Sets, for interpreted rooms."""
    return SETS_HERE


def change(ep, op, fd, end, event):
    """An epoll_ctl(2) on a connection of ours has succeeded; `event` is the address of its struct epoll_event, or 0."""
    if ep >= 65536:
        return
    block = raw.load(SETS_HERE.table + ep * 8)
    if not block:
        if op != linux.EPOLL_CTL_ADD:
            return
        block = wakers.reserve(64 + 65536 * 48)
        raw.store(SETS_HERE.table + ep * 8, block)
        if ep >= SETS_HERE.top:
            SETS_HERE.top = ep + 1
    endpoint.lock(block + 8)
    count = raw.load(block)
    i = 0
    while i < count and raw.load(block + 64 + i * 48 + 8) != fd:
        i += 1
    at = block + 64 + i * 48
    if op == linux.EPOLL_CTL_DEL:
        if i < count:
            move(block, count - 1, i)
    elif i < 65536:
        raw.store(at, end)
        raw.store(at + 8, fd)
        raw.store(at + 16, raw.load32(event))
        raw.store(at + 24, raw.load(event + 4))
        raw.store(at + 32, raw.invert(0))
        raw.store(at + 40, raw.invert(0))
        if i == count:
            raw.store(block, count + 1)
    endpoint.unlock(block + 8)


def move(block, last, i):
    """Entry `i` leaves: the last one takes its place."""
    offset = 0
    while offset < 48:
        raw.store(block + 64 + i * 48 + offset, raw.load(block + 64 + last * 48 + offset))
        offset += 8
    raw.store(block, last)


def forget_end(end):
    """A connection is closed: out of every set."""
    ep = 0
    while ep < SETS_HERE.top:
        block = raw.load(SETS_HERE.table + ep * 8)
        if block:
            endpoint.lock(block + 8)
            i = 0
            while i < raw.load(block):
                if raw.load(block + 64 + i * 48) == end:
                    move(block, raw.load(block) - 1, i)
                else:
                    i += 1
            endpoint.unlock(block + 8)
        ep += 1


def forget_set(ep):
    """An epoll descriptor is closed. Its block is kept for the next set of that number."""
    block = raw.load(SETS_HERE.table + ep * 8) if ep < 65536 else 0
    if block:
        endpoint.lock(block + 8)
        raw.store(block, 0)
        endpoint.unlock(block + 8)


def scan(ep, block, events, n):
    """Write up to `n` events of rings to `events`; how many."""
    found = 0
    endpoint.lock(block + 8)
    count = raw.load(block)
    i = 0
    while i < count and found < n:
        at = block + 64 + i * 48
        have = have_now(ep, at)
        if have:
            put(events + found * 12, have, raw.load(at + 24))
            found += 1
        i += 1
    endpoint.unlock(block + 8)
    return found


def put(event, have, data):
    raw.store32(event, have)
    raw.store32(event + 4, data)
    raw.store32(event + 8, data >> 32)


def have_now(ep, at):
    """The events of one entry, level or edge triggered."""
    end = raw.load(at)
    wanted = raw.load(at + 16)
    if not endpoint.upgraded(end):
        return 0
    if wanted & linux.EPOLLOUT and not wanted & raw.bit(32) and raw.load(end + layout.OUT_STATE) == layout.RING:
        mask_spine(ep, at, wanted)
        wanted = raw.load(at + 16)
    ready = endpoint.ready(end, (1 if wanted & linux.EPOLLIN else 0) | (2 if wanted & linux.EPOLLOUT else 0))
    if not ready:
        return 0
    if wanted & linux.EPOLLET:
        # an edge on either side reports all that is true (epoll(7))
        edge = ready & 1 and raw.load(at + 32) != endpoint.inward(end)
        if not edge and not (ready & 2 and raw.load(at + 40) != raw.load(end + layout.FULLS)):
            return 0
        raw.store(at + 32, endpoint.inward(end))
        raw.store(at + 40, raw.load(end + layout.FULLS))
    if wanted & linux.EPOLLOUT and not ready & 2 and raw.load(end + layout.OUT_STATE) != layout.RING:
        if endpoint.spine_writable(end):  # that direction is still the kernel's, and one report says all
            ready |= 2
    have = linux.EPOLLIN | (wanted & linux.EPOLLRDNORM) if ready & 1 else 0
    if ready & 2:
        have |= linux.EPOLLOUT | (wanted & linux.EPOLLWRNORM)
    if have and wanted & linux.EPOLLONESHOT:
        raw.store(at + 16, 0)
        modify(ep, raw.load(at + 8), 0, raw.load(at + 24), end)
    return have


def mask_spine(ep, at, wanted):
    """The spine can always be written, and would say so for ever: the kernel is not asked about that any more."""
    modify(ep, raw.load(at + 8), wanted & ~linux.EPOLLOUT, raw.load(at + 24), raw.load(at))
    raw.store(at + 16, wanted | raw.bit(32))


def modify(ep, fd, events, data, end):
    """epoll_ctl(2) MOD; the event is staged in the end's record, whose lock is the set's."""
    put(end + layout.SCRATCH, events, data)
    raw.syscall(linux.SYS_epoll_ctl, ep, linux.EPOLL_CTL_MOD, fd, end + layout.SCRATCH, 0, 0)


def spines(block, events, n):
    """Tell the connections among the kernel's `n` events that their spine has something to say."""
    i = 0
    while i < raw.load(block):
        end = raw.load(block + 64 + i * 48)
        if raw.load(end + layout.IN_STATE) == layout.RING:
            j = 0
            while j < n:
                if raw.load(events + j * 12 + 4) == raw.load(block + 64 + i * 48 + 24):
                    endpoint.look_next(end)
                j += 1
        i += 1


def merge(events, found, more):
    """The kernel's `more` events behind `found` of ours: one descriptor is reported once. Returns how many there are."""
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


def any_upgraded(block):
    count = raw.load(block)
    i = 0
    while i < count:
        if endpoint.upgraded(raw.load(block + 64 + i * 48)):
            return True
        i += 1
    return False


def plain(kind, w):
    """Leave this wait to the kernel's own call, counted, so that nothing moves to a ring behind its back."""
    raw.fetch_add(SETS_HERE.plain_at, 1)
    raw.store(w, description.PROCESS.qtokens.block(kind, linux.PLAIN_SET))
    return abi.CATFLAP_SLEEP


def ended(about):
    """A wait that the kernel made for us is over: `about` is what its qtoken says (qd << 8 | kind)."""
    if about >> 8 == linux.PLAIN_SET:
        raw.fetch_add(SETS_HERE.plain_at, raw.invert(0))
    elif about >> 40 and about & 0xFF == abi.CATFLAP_PUSH:  # an address: the end of a connection
        raw.fetch_add((about >> 8) + layout.STRANGERS_OUT, raw.invert(0))
    elif about >> 40:
        raw.fetch_add((about >> 8) + layout.STRANGERS_IN, raw.invert(0))


def awake(w):
    """Back from the sleep: peers need not ring any more."""
    bell = raw.load(w + layout.W_BELL)
    if 0 < bell < 64:
        raw.store(description.PROCESS.bells + bell * 64, 0)


def wait(ep, events, n, w):
    """epoll_wait(2) on a set with connections of ours."""
    block = raw.load(SETS_HERE.table + ep * 8) if ep < 65536 else 0
    if not block or (not raw.load(SETS_HERE.plain_at + 64) and not any_upgraded(block)):
        return plain(abi.CATFLAP_READY, w) if raw.load(w + layout.W_DEADLINE) != 1 else abi.CATFLAP_SLEEP
    awake(w)
    turn = raw.fetch_add(block + 16, 1)
    found = scan(ep, block, events, n)
    if found and (turn & 15 or found == n):
        return found
    r = raw.syscall(linux.SYS_epoll_wait, ep, events + found * 12, n - found, 0, 0, 0)
    if r > 0:
        spines(block, events + found * 12, r)
        return merge(events, found, r)
    if found or r < 0:
        return found if found else r
    limit = raw.now() + SETS_HERE.spin
    deadline = raw.load(w + layout.W_DEADLINE)
    if deadline < limit:
        limit = deadline
    if any_upgraded(block):
        turns = 0
        while not raw.load32(raw.load(w + layout.W_PENDING)):
            found = scan(ep, block, events, n)
            if found:
                return found
            turns += 1
            if turns & 15 == 0 and raw.now() >= limit:
                break
            raw.pause()
    return sleep(ep, block, events, n, w, deadline)


def sleep(ep, block, events, n, w, deadline):
    """Arm the bell everywhere, look for the last time, and let the thread sleep."""
    left = -1
    if deadline != layout.NEVER:
        left = deadline - raw.now()
        if left <= 0:
            return 0
    bell = raw.load(w + layout.W_BELL)
    if 0 < bell < 64:
        raw.store(description.PROCESS.bells + bell * 64, 1)
        count = raw.load(block)
        i = 0
        while i < count:
            end = raw.load(block + 64 + i * 48)
            if raw.load(end + layout.IN) and not (
                endpoint.arm(end, bell, 1)
                and (not raw.load(block + 64 + i * 48 + 16) & linux.EPOLLOUT or endpoint.arm(end, bell, 2))
            ):
                left = 1000000  # another thread has the place: look again in a millisecond
            i += 1
        raw.fence()
        found = scan(ep, block, events, n)
        if found:
            awake(w)
            return found
    elif bell:
        left = 1000000
    if raw.load(w) == 0:
        raw.store(w, description.PROCESS.qtokens.block(abi.CATFLAP_READY, 0))
    raw.store(w + layout.W_TIMEOUT, left)
    return abi.CATFLAP_WAIT


def poll(fds, handles, copy, n, w):
    """poll(2) on a set in which `handles` names the ends that have left the kernel, 0 for everybody else."""
    awake(w)
    deadline = raw.load(w + layout.W_DEADLINE)
    found = poll_once(fds, handles, copy, n)
    if found:
        return found
    limit = raw.now() + SETS_HERE.spin
    if deadline < limit:
        limit = deadline
    turns = 0
    while not raw.load32(raw.load(w + layout.W_PENDING)) and (turns & 15 or raw.now() < limit):
        turns += 1
        raw.pause()
        if rings_ready(fds, handles, n):
            return poll_once(fds, handles, copy, n)
    left = -1
    if deadline != layout.NEVER:
        left = deadline - raw.now()
        if left <= 0:
            return 0
    bell = raw.load(w + layout.W_BELL)
    if 0 < bell < 64:
        raw.store(description.PROCESS.bells + bell * 64, 1)
        i = 0
        while i < n:
            end = raw.load(handles + i * 8)
            if end and not (
                endpoint.arm(end, bell, 1) and (not events_of(fds, i) & linux.POLLOUT or endpoint.arm(end, bell, 2))
            ):
                left = 1000000
            i += 1
        raw.fence()
        if rings_ready(fds, handles, n):
            awake(w)
            return poll_once(fds, handles, copy, n)
    elif bell:
        left = 1000000
    if raw.load(w) == 0:
        raw.store(w, description.PROCESS.qtokens.block(abi.CATFLAP_READY, 0))
    raw.store(w + layout.W_TIMEOUT, left)
    return abi.CATFLAP_WAIT


def events_of(fds, i):
    return raw.load32(fds + i * 8 + 4) & 0xFFFF


def mask_of(events):
    return (1 if events & (linux.POLLIN | linux.POLLRDNORM) else 0) | (
        2 if events & (linux.POLLOUT | linux.POLLWRNORM) else 0
    )


def rings_ready(fds, handles, n):
    i = 0
    while i < n:
        end = raw.load(handles + i * 8)
        if end and endpoint.ready(end, mask_of(events_of(fds, i))):
            return True
        i += 1
    return False


def poll_once(fds, handles, copy, n):
    """One look at rings and kernel. Fills the revents of `fds`; how many are not 0. `copy` is what the kernel is asked."""
    i = 0
    while i < n:
        events = events_of(fds, i)
        end = raw.load(handles + i * 8)
        if end and raw.load(end + layout.OUT_STATE) == layout.RING:
            events &= ~(linux.POLLOUT | linux.POLLWRNORM)
        raw.store32(copy + i * 8, raw.load32(fds + i * 8))
        raw.store32(copy + i * 8 + 4, events & 0xFFFF)
        i += 1
    r = raw.syscall(linux.SYS_poll, copy, n, 0, 0, 0, 0)
    if r < 0:
        return r
    found = 0
    i = 0
    while i < n:
        events = events_of(fds, i)
        have = raw.load32(copy + i * 8 + 4) >> 16
        end = raw.load(handles + i * 8)
        if end:
            if have & ~linux.POLLOUT:
                endpoint.look_next(end)
            ready = endpoint.ready(end, mask_of(events))
            if ready & 1:
                have |= events & (linux.POLLIN | linux.POLLRDNORM)
            if ready & 2:
                have |= events & (linux.POLLOUT | linux.POLLWRNORM)
        raw.store32(fds + i * 8 + 4, events | have << 16)
        if have:
            found += 1
        i += 1
    return found
