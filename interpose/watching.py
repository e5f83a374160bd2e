"""Waiting for sets whose data the kernel can't see: poll(2) and epoll_wait(2) on connections that have left it.

A waiting thread scans, asks the kernel for its side on every sixteenth turn while rings are busy and whenever they
are not, spins while that pays, and sleeps on the kernel's set together with its bell.
"""

from interpose import abi, arming, blocks, description, interest, linux, scanning, sets, spinning
from libos import driver, endpoint, layout, leaving, raw, rings, spine

COMPILED = __file__.endswith(".so")
MILLISECOND = 1000000
QUIET = 64  # looks at the kernel that found nothing, until it is asked only now and then


def plain(what, w):
    """Leave this wait to the kernel's own call; it is counted, so that nothing moves to a ring behind its back."""
    raw.store(w, description.PROCESS.qtokens.block(abi.CATFLAP_READY, what))
    if driver.HERE.on:
        driver.HERE.driver.rest(0)
    return abi.CATFLAP_SLEEP


def ended(about):
    """A wait is over: `about` is what its qtoken says (address of a counter << 8 | kind)."""
    if about >> 24:
        raw.fetch_add(about >> 8, raw.invert(0))


def counted(d, end, w):
    """Count a call, once, among those that sleep on the connection. False where that was closed before: perhaps nobody
    keeps it for us, so that the call's time is up.
    """
    if raw.load(w) == 0:
        raw.fetch_add(spine.sleepers_at(end), 1)
        raw.store(w, description.PROCESS.qtokens.block(abi.CATFLAP_POP, spine.sleepers_at(end)))
        if d.forgotten:  # who closes it looks the other way round
            raw.store(w + layout.W_DEADLINE, 1)
    return raw.load(w + layout.W_DEADLINE) != 1


def awake(w):
    """Back from the sleep: peers need not ring any more."""
    bell = raw.load(w + layout.W_BELL)
    if 0 < bell < 64:
        raw.store(description.PROCESS.bells + bell * 64, 0)


def asleep(bell):
    """Peers are to ring, and who takes a place of this bell has to see that its thread sleeps (rings.py, arm)."""
    raw.store(description.PROCESS.bells + bell * 64, 1)
    raw.fence()


def rest(w, left, deadline):
    """The thread sleeps: until its bell, at most `left` ns if that is not negative, and not beyond the deadline."""
    if deadline != layout.NEVER and (left < 0 or left > deadline - raw.now()):
        left = deadline - raw.now()
        if left < 0:
            left = 0
    if raw.load(w) == 0:
        raw.store(w, description.PROCESS.qtokens.block(abi.CATFLAP_READY, 0))
    raw.store(w + layout.W_TIMEOUT, left)
    if driver.HERE.on:
        driver.HERE.driver.rest(raw.load(w + layout.W_BELL))
    return abi.CATFLAP_WAIT


def doze(end, fd, mask, w, timeout):
    """Arm the bell, look for the last time: 0 to look again, CATFLAP_WAIT to sleep, -EAGAIN when the time is up."""
    deadline = raw.load(w + layout.W_DEADLINE)
    if deadline == 0:
        deadline = raw.now() + timeout if timeout else layout.NEVER
        raw.store(w + layout.W_DEADLINE, deadline)
    left = -1
    if deadline != layout.NEVER:
        left = deadline - raw.now()
        if left <= 0:
            return -linux.EAGAIN
    if mask == 2 and not endpoint.stretch(end):
        left = MILLISECOND
    bell = raw.load(w + layout.W_BELL)
    if 0 < bell < 64:
        asleep(bell)
        if not arming.arm(end, bell, mask):
            left = MILLISECOND
        raw.fence()
    elif bell:
        left = MILLISECOND
    # behind the arming: a reader who leaves rings who is armed then
    if not leaving.settle(end):
        left = MILLISECOND
    if 0 < bell < 64 and endpoint.ready(end, mask):
        awake(w)
        return 0
    raw.store(end + layout.SLEEPS, raw.load(end + layout.SLEEPS) + 1)
    raw.store(w + layout.W_FD, fd)
    events = linux.POLLIN if mask == 1 else linux.POLLOUT
    if mask == 1 or raw.load(end + layout.OUT_STATE) == layout.RING:
        events = events & linux.POLLIN | linux.POLLRDHUP  # a peer that says goodbye may read no ring
    raw.store(w + layout.W_EVENTS, events)
    return rest(w, left, layout.NEVER)


def wait(ep, events, n, w):
    """epoll_wait(2) on a set with connections of ours."""
    block = sets.block_of(ep)
    deadline = raw.load(w + layout.W_DEADLINE)
    if not block or not raw.load(block + blocks.HOPES):
        if deadline == 1:  # it will not sleep at all
            return abi.CATFLAP_SLEEP
        if not block:  # another thread may add a connection meanwhile
            block = interest.waited_for(ep)
        if not block:
            return plain(sets.HERE.lock_at + 256, w)
        raw.fetch_add(block + blocks.PLAIN, 1)
        if not raw.load(block + blocks.HOPES):
            return plain(block + blocks.PLAIN, w)
        raw.fetch_add(block + blocks.PLAIN, raw.invert(0))  # a connection has begun to meet its peer just now
    awake(w)
    if driver.HERE.on:
        driver.HERE.driver.look()
    raw.store(block + blocks.ENDING, 0)
    raw.store(block + blocks.REPLAYS, 0)
    found = scanning.scan(block, events, n)
    if found and (found == n or quiet(block)):
        return found
    r = raw.syscall(linux.SYS_epoll_wait, ep, events + found * blocks.EVENT, n - found, 0, 0, 0)
    raw.store(block + blocks.EMPTIES, 0 if r else raw.load(block + blocks.EMPTIES) + 1)
    if r > 0:
        r = scanning.spines(block, events + found * blocks.EVENT, r)
        if r:
            return scanning.merge(events, found, r)
    if found or r < 0:
        return found if found else r
    now = raw.now()
    raw.store(block + blocks.LOOKED, now)
    if deadline <= now:
        return 0
    found = spin(block, events, n, w, now, deadline)
    if found:
        return found
    return sleep(block, events, n, w, deadline)


def quiet(block):
    """Whether the kernel need not be asked in this turn: it has had nothing for many, and was asked a moment ago."""
    turn = raw.fetch_add(block + blocks.TURN, 1)
    if raw.load(block + blocks.EMPTIES) < QUIET or raw.load(block + blocks.ENDING):
        return False
    if turn & 15 == 0 and raw.now() - raw.load(block + blocks.LOOKED) > MILLISECOND // 2:
        raw.store(block + blocks.LOOKED, raw.now())
        return False
    return True


def spin(block, events, n, w, now, deadline):
    """Look again and again while that pays: not after many times in vain."""
    misses = raw.load(block + blocks.MISSES)
    if not sets.HERE.pairs or (misses > 8 and misses & 15) or not spinning.pays(w, now):
        raw.store(block + blocks.MISSES, misses + 1)
        return 0
    limit = now + spinning.HERE.spin
    if deadline < limit:
        limit = deadline
    turns = 0
    while not raw.load32(raw.load(w + layout.W_PENDING)):
        if driver.HERE.on:
            spinning.look(turns)
        found = scanning.scan(block, events, n)
        if found:
            raw.store(block + blocks.MISSES, 0)
            return found
        turns += 1
        if turns & 15 == 0 and raw.now() >= limit:
            break
        raw.pause()
    raw.store(block + blocks.MISSES, misses + 1)
    return 0


def sleep(block, events, n, w, deadline):
    """Say that this thread sleeps, look for the last time, and let it."""
    left = -1
    bell = raw.load(w + layout.W_BELL)
    if 0 < bell < 64:
        asleep(bell)
        if raw.load(description.PROCESS.bells + bell * 64 + rings.ROBBED):
            raw.store(description.PROCESS.bells + bell * 64 + rings.ROBBED, 0)
            sets.distrust(bell)
        if raw.load(block + blocks.ARMED) != bell or raw.load(block + blocks.LINEAR):
            if not arming.arm_all(block, bell):
                left = MILLISECOND  # another thread has a place: look again soon
        raw.fence()
        found = scanning.scan(block, events, n)
        if found:
            awake(w)
            return found
    elif bell:
        left = MILLISECOND
    if raw.load(block + blocks.REPLAYS):
        left = MILLISECOND  # the kernel is slow to take what a reader has given back
    return rest(w, left, deadline)


def poll(fds, handles, copy, n, w):
    """poll(2) on a set in which `handles` names our connections' ends, 0 for everybody else."""
    deadline = raw.load(w + layout.W_DEADLINE)
    if not any_hope(handles, n):
        if deadline == 1:
            return abi.CATFLAP_SLEEP
        raw.fetch_add(sets.HERE.plain_at, 1)
        if not any_hope(handles, n):
            return plain(sets.HERE.plain_at, w)
        raw.fetch_add(sets.HERE.plain_at, raw.invert(0))
    awake(w)
    if driver.HERE.on:
        driver.HERE.driver.look()
    found = poll_once(fds, handles, copy, n)
    if found:
        return found
    now = raw.now()
    if deadline <= now:
        return 0
    if spin_polled(fds, handles, n, w, now, deadline):
        return poll_once(fds, handles, copy, n)
    left = -1
    bell = raw.load(w + layout.W_BELL)
    if 0 < bell < 64:
        asleep(bell)
        if not arm_polled(fds, handles, n, bell):
            left = MILLISECOND
        raw.fence()
        if rings_ready(fds, handles, n):
            awake(w)
            return poll_once(fds, handles, copy, n)
    elif bell:
        left = MILLISECOND
    return rest(w, left, deadline)


def spin_polled(fds, handles, n, w, now, deadline):
    """Look again and again while that pays; whether a ring has what is waited for."""
    if not any_ring(handles, n) or not spinning.pays(w, now):
        return False
    limit = now + spinning.HERE.spin
    if deadline < limit:
        limit = deadline
    turns = 0
    while not raw.load32(raw.load(w + layout.W_PENDING)):
        if driver.HERE.on:
            spinning.look(turns)
        if rings_ready(fds, handles, n):
            return True
        turns += 1
        if turns & 15 == 0 and raw.now() >= limit:
            break
        raw.pause()
    return False


def any_hope(handles, n):
    i = 0
    while i < n:
        if raw.load(handles + i * 8) and raw.load(raw.load(handles + i * 8) + layout.MEETING):
            return True
        i += 1
    return False


def any_ring(handles, n):
    i = 0
    while i < n:
        if raw.load(handles + i * 8) and endpoint.upgraded(raw.load(handles + i * 8)):
            return True
        i += 1
    return False


def arm_polled(fds, handles, n, bell):
    alone = True
    i = 0
    while i < n:
        end = raw.load(handles + i * 8)
        if end and raw.load(end + layout.IN):
            if not arming.arm(end, bell, 1):
                alone = False
            if events_of(fds, i) & linux.POLLOUT:
                if not endpoint.stretch(end):
                    alone = False
                if not arming.arm(end, bell, 2):
                    alone = False
            # behind the arming: a reader who leaves rings who is armed then
            if not leaving.settle(end):
                alone = False
        i += 1
    return alone


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
    """One look at rings and kernel. Fills the revents of `fds`; how many are not 0. `copy` is what the kernel is
    asked.
    """
    i = 0
    while i < n:
        events = events_of(fds, i)
        end = raw.load(handles + i * 8)
        if end:
            leaving.settle(end)
        if end and leaving.sending(end) and events & (linux.POLLOUT | linux.POLLWRNORM):
            events &= ~(linux.POLLOUT | linux.POLLWRNORM)
            if raw.load(end + layout.OUT_STATE) == layout.RING:
                events |= linux.POLLRDHUP  # who says goodbye may read no ring
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
            if have & linux.POLLRDHUP:
                if events & (linux.POLLOUT | linux.POLLWRNORM) and endpoint.room_after_goodbye(end):
                    have |= events & (linux.POLLOUT | linux.POLLWRNORM)
                have &= ~linux.POLLRDHUP | events
            ready = endpoint.ready(end, mask_of(events))
            if ready & 2 and endpoint.reader_left(end):  # while we looked
                return poll_once(fds, handles, copy, n)
            if ready & 1:
                have |= events & (linux.POLLIN | linux.POLLRDNORM)
            if ready & 2:
                have |= events & (linux.POLLOUT | linux.POLLWRNORM)
            if ready & 8:
                have |= linux.POLLERR
        raw.store32(fds + i * 8 + 4, events | have << 16)
        if have:
            found += 1
        i += 1
    return found
