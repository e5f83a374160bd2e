# cython: infer_types=True
"""When each connection wants to be looked at: a binary heap of records.

Timers of a busy connection move later all the time. Its place in the heap then stays: it is looked at too early,
once, and finds its place again.
"""

from libos import raw
from libos.net import octets, structs


class Deadlines:
    """A heap by `heap_deadline`. A record's `heap_index` is its place, counted from 1; 0 where it has none."""

    def __init__(self, pool):
        self.pool = pool
        self.base = 0
        self.size = self.count = 0

    def arm(self, c, deadline):
        """Have `c` looked at no later than at `deadline`; false where there is no memory."""
        c.deadline = deadline
        if c.heap_index:
            if deadline < c.heap_deadline:
                c.heap_deadline = deadline
                self.up(c.heap_index)
            return True
        if self.count + 1 >= self.size and not self.grow():
            return False
        self.count += 1
        c.heap_deadline = deadline
        self.place(self.count, structs.self_of(c))
        self.up(self.count)
        return True

    def drop(self, c):
        """Forget a record."""
        index = c.heap_index
        if index == 0:
            return
        c.heap_index = 0
        last = raw.load(self.base + self.count * 8)
        self.count -= 1
        if index <= self.count:
            self.place(index, last)
            self.up(index)
            self.down(structs.tcb(last).heap_index)

    def grow(self):
        size = self.size * 2 if self.size else 64
        at = self.pool.take(size * 8)
        if at == 0:
            return False
        if self.size:
            octets.copy(at, self.base, self.size * 8)
            self.pool.give(self.base, self.size * 8)
        self.base = at
        self.size = size
        return True

    def place(self, index, at):
        raw.store(self.base + index * 8, at)
        structs.tcb(at).heap_index = index

    def up(self, index):
        at = raw.load(self.base + index * 8)
        while index > 1:
            above = raw.load(self.base + (index >> 1) * 8)
            if structs.tcb(above).heap_deadline <= structs.tcb(at).heap_deadline:
                break
            self.place(index, above)
            index = index >> 1
        self.place(index, at)

    def down(self, index):
        at = raw.load(self.base + index * 8)
        while index * 2 <= self.count:
            child = index * 2
            below = raw.load(self.base + child * 8)
            if child < self.count:
                other = raw.load(self.base + child * 8 + 8)
                if structs.tcb(other).heap_deadline < structs.tcb(below).heap_deadline:
                    child += 1
                    below = other
            if structs.tcb(at).heap_deadline <= structs.tcb(below).heap_deadline:
                break
            self.place(index, below)
            index = child
        self.place(index, at)

    def first(self):
        """Address of the record that is due first, 0 where there is none."""
        return raw.load(self.base + 8) if self.count else 0

    def entry(self, index):
        """Address of the record at a place, counted from 1."""
        return raw.load(self.base + index * 8)
