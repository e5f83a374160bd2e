"""The records of ends in the table that a family shares: who takes one, who uses it, and when it is free again.

On the way of every new connection, so that it is compiled.
"""

from libos import layout, raw, rings

COMPILED = __file__.endswith(".so")
REACHED = 16  # in the table's first line: records that have ever been taken, counted from the first
NEAR = 64  # records looked at before others are preferred
SWEEP = 1000000000  # ns between two searches for records of dead processes


class Records:
    """The records of one family. `detach` is called with a record that goes and belongs to a pair."""

    def __init__(self, table, detach):
        self.table = table
        self.arena = table + layout.FIRST
        self.ends = layout.ENDS
        self.next_end = 0
        self.full = False
        self.sweep_at = 0
        self.detach = detach

    def claim(self):
        """Address of a zeroed end record, or 0 when all are taken. Children claim in the same arena."""
        end = self.find()
        if not end and raw.now() >= self.sweep_at:
            self.sweep_at = raw.now() + SWEEP
            if self.sweep():
                end = self.find()
            self.full = not end
        return end

    def find(self):
        if self.full and raw.now() < self.sweep_at:
            return 0
        number = take(self.arena, self.next_end, NEAR, self.ends, rings.HERE.pid)
        if number < 0:  # there are many: one that was never used
            number = take(self.arena, raw.load(self.table + REACHED), NEAR, self.ends, rings.HERE.pid)
        if number < 0:
            number = take(self.arena, 0, self.ends, self.ends, rings.HERE.pid)
        if number < 0:
            return 0
        self.next_end = (number + 1) % self.ends
        reached(self.table, number + 1)
        return self.arena + number * layout.RECORD

    def alone(self, end):
        """Whether nobody else uses a record: others may have been killed before they could say goodbye."""
        return raw.load(end + layout.USERS) == 1 or all_gone(end, rings.HERE.pid)

    def join(self, end):
        """This process, just forked, shares a record, and is one of those that are known if there is room for it."""
        i = 0
        while i < layout.KNOWN:
            if raw.compare_exchange(end + layout.PIDS + i * 8, 0, rings.HERE.pid):
                return
            i += 1

    def give_back(self, end):
        """One process of the family lets go of a record; the last one clears it."""
        if self.alone(end):  # nobody else can come to it
            self.clear(end)
            raw.store(end + layout.USERS, 0)
            # the lowest that is free comes next: what was never used takes no memory
            self.next_end = min(self.next_end, (end - self.arena) // layout.RECORD)
        else:
            leave(end, rings.HERE.pid)

    def clear(self, end):
        if raw.load(end + layout.IN):
            self.detach(end)
        blank(end)

    def sweep(self):
        """Free the records of processes that are gone without a word; how many. Not cheap: it looks at all of them."""
        freed = 0
        number = 0
        while number < raw.load(self.table + REACHED):
            end = self.arena + number * layout.RECORD
            if raw.load(end + layout.USERS) and all_gone(end, 0):
                self.clear(end)
                raw.store(end + layout.USERS, 0)
                freed += 1
            number += 1
        return freed

    def values(self, offset):
        """What the records that are taken hold at `offset`: a set."""
        found = set()
        number = 0
        while number < raw.load(self.table + REACHED):
            end = self.arena + number * layout.RECORD
            if raw.load(end + layout.USERS):
                found.add(raw.load(end + offset))
            number += 1
        return found

    def note(self, fd, reason):
        """Why a descriptor number is the kernel's (0: it isn't), for those who look from outside."""
        if fd < layout.NOTED:
            note(self.table, fd, reason)


def take(arena, start, steps, ends, pid):
    """Number of a record that was free, of `steps` from `start` on among `ends`, or -1. It is the process's `pid`, and
    empty.
    """
    step = 0
    while step < steps:
        number = (start + step) % ends
        end = arena + number * layout.RECORD
        if raw.compare_exchange(end + layout.USERS, 0, 1):
            raw.store(end + layout.OWNER, pid)
            raw.store(end + layout.PIDS, pid)
            return number
        step += 1
    return -1


def reached(table, count):
    """So many records have been taken; nobody need look further."""
    before = raw.load(table + REACHED)
    while before < count and not raw.compare_exchange(table + REACHED, before, count):
        before = raw.load(table + REACHED)


def gone(end, user):
    """Whether a process that used a record has ended, or has executed another program, which closed its descriptor."""
    return raw.ended(user) or raw.replaced(user, end + layout.OWNER)


def all_gone(end, but):
    """Whether every process that uses a record, leaving out `but`, is known, and gone."""
    known = 0
    i = 0
    while i < layout.KNOWN:
        user = raw.load(end + layout.PIDS + i * 8)
        if user:
            known += 1
            if user != but and not gone(end, user):
                return False
        i += 1
    return known == raw.load(end + layout.USERS)


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
