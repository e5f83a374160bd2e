"""Operations that wait for rings: looked at while somebody spins, and the peers asked to ring before he sleeps."""

from libos import calls, endpoint, leaving, raw, rings
from libos import layout as ends
from libos.core import driving, layout, loops

COMPILED = __file__.endswith(".so")
MILLISECOND = 1000000  # ns


def look(table):
    """Go on with what the rings have made ready: how many lines; -1 when nothing waits for a ring. Under the lock.

    The near connections are looked at, the far ones have said so (`loops.attached`).
    """
    found = -1
    near = table.head + layout.NEAR
    last = near + layout.NEARS * 8
    if raw.load(table.head + layout.LINEAR):
        return look_at_all(table)
    while near < last:
        if raw.load(near):
            found = look_at(table, raw.load(near), found)
        near += 8
    if raw.load(table.head + layout.FARS):
        found = added(found, drain(table))
    return found


def look_at_all(table):
    found = -1
    queue = raw.load(table.head + layout.FIRST_LOOP)
    while queue:
        found = look_at(table, queue, found)
        queue = raw.load(queue + layout.LOOP_NEXT)
    return found


def look_at(table, queue, found):
    """One connection: what was found before and in it."""
    end = raw.load(queue + layout.END)
    if raw.load(end + ends.IN):
        if raw.load(queue + layout.FIRST_IN):
            found = added(found, looked(table, queue, layout.FIRST_IN, endpoint.ready(end, 1)))
        if raw.load(queue + layout.FIRST_OUT):
            found = added(found, looked(table, queue, layout.FIRST_OUT, endpoint.ready(end, 2)))
    return found


def drain(table):
    """Go on with the connections of which peers have said that there is something: how many lines. Under the lock."""
    found = 0
    pair = raw.load(table.head + layout.FIRST_PAIR)
    while pair:
        area = raw.load(pair) + ends.SIDE * raw.load(pair + 8)
        if raw.load(area):
            found += drain_pair(table, pair, area)
        pair = raw.load(pair + 16)
    return found


def drain_pair(table, pair, area):
    found = 0
    summary = raw.exchange(area, 0)
    while summary:
        i = raw.ctz(summary)
        summary &= summary - 1
        soiled = raw.exchange(area + ends.DIRTY_WORDS + i * 8, 0)
        while soiled:
            end = raw.load(pair + 64 + (i * 64 + raw.ctz(soiled)) * 8)
            soiled &= soiled - 1
            queue = raw.load(loops.place_of(table, end)) if end else 0
            if queue:
                found += go_on(table, queue, end)
    return found


def go_on(table, queue, end):
    """Both lines of a connection of which there is news: how many."""
    found = 0
    if raw.load(queue + layout.FIRST_IN):
        found += looked(table, queue, layout.FIRST_IN, True)
    if raw.load(queue + layout.FIRST_OUT):  # a push that would move a few bytes only waits on
        found += looked(table, queue, layout.FIRST_OUT, not leaving.sending(end) or endpoint.ready(end, 2))
    return found


def added(found, more):
    return more if found < 0 else found + more


def looked(table, queue, line, ready):
    if not ready:
        return 0
    driving.drive(table, queue, queue + line)
    return 1


def doze(table):
    """Before a thread sleeps: peers are to ring for what is waited for. ns after which to look again, -1: never; 0 when
    there is something. Under the lock.
    """
    bell = raw.load(table.head + layout.LOOP_BELL)
    queue = raw.load(table.head + layout.FIRST_LOOP)
    limit = -1
    if bell == 0 or queue == 0:
        return limit
    raw.store(raw.load(table.head + layout.SLEEP_WORD), 1)
    while queue:
        end = raw.load(queue + layout.END)
        if raw.load(end + ends.IN):
            if not armed(queue, end, bell):
                limit = MILLISECOND
        queue = raw.load(queue + layout.LOOP_NEXT)
    raw.fence()
    return 0 if look(table) > 0 else limit


def armed(queue, end, bell):
    """False when this connection is to be looked at again in a moment."""
    outbound = raw.load(queue + layout.FIRST_OUT) != 0
    if raw.load(queue + layout.FIRST_IN):
        raw.store(rings.bell_word(end, 1), bell)
    if outbound:
        raw.store(rings.bell_word(end, 2), bell)
    if raw.load(queue + layout.FIRST_IN) or outbound:
        endpoint.look_next(end)  # the spine may have said something
        if raw.load(end + ends.USERS) > 1:  # another process may have its own bell there
            return False
        return leaving.settle(end) and (not outbound or endpoint.stretch(end))
    return True


def rouse(table):
    """The thread that slept on the epoll set is awake: peers need not ring."""
    if raw.load(table.head + layout.SLEEP_WORD):
        raw.store(raw.load(table.head + layout.SLEEP_WORD), 0)


def heard(table, fd):
    """A peer has rung: empty the bell."""
    at = table.head + layout.SCRATCH
    while raw.syscall(calls.SYS_recvfrom, fd, at, 8, calls.DONTWAIT, 0, 0) >= 0:
        pass
