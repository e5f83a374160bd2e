"""The records of ends in the table that a family shares: who takes one, who uses it, and when it is free again.

On the way of every new connection, so that it is compiled; what happens once in a while is in family.py.
"""

from libos import layout, raw

COMPILED = __file__.endswith(".so")


def take(arena, start, ends, pid):
    """Number of one of `ends` records that was free, searched from `start` on, or -1. It is the process's `pid`, and
    empty.
    """
    step = 0
    while step < ends:
        number = (start + step) % ends
        end = arena + number * layout.RECORD
        if raw.compare_exchange(end + layout.USERS, 0, 1):
            raw.store(end + layout.OWNER, pid)
            raw.store(end + layout.PIDS, pid)
            return number
        step += 1
    return -1


def gone(end, user):
    """Whether a process that used a record has ended, or has executed another program, which closed its descriptor."""
    return raw.ended(user) or raw.replaced(user, end + layout.OWNER)


def alone(end, pid):
    """Whether nobody but the process `pid` uses a record: others may be gone without having said goodbye."""
    count = raw.load(end + layout.USERS)
    if count == 1:
        return True
    known = 0
    i = 0
    while i < layout.KNOWN:
        user = raw.load(end + layout.PIDS + i * 8)
        if user:
            known += 1
            if user != pid and not gone(end, user):
                return False
        i += 1
    return known == count


def blank(end):
    """All words but the count of users, which says that the record is taken."""
    offset = 0
    while offset < layout.RECORD:
        if offset != layout.USERS:
            raw.store(end + offset, 0)
        offset += 8


def leave(end, pid):
    """One of several users lets go."""
    i = 0
    while i < layout.KNOWN:
        raw.compare_exchange(end + layout.PIDS + i * 8, pid, 0)
        i += 1
    raw.fetch_add(end + layout.USERS, raw.invert(0))


def note(table, fd, reason):
    """One byte for each descriptor number: why it is the kernel's (0: it isn't), for those who look from outside."""
    word = table + layout.NOTES + (fd & ~7)
    shift = (fd & 7) * 8
    raw.store(word, raw.load(word) & raw.invert(255 << shift) | reason << shift)
