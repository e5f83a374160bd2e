# cython: infer_types=True
"""Receive buffers: posted before they are promised, and posted again in bursts.

A connection's credits, and each answer that we wait for, are promises: somebody may send a message. So that every
message finds a receive, there are always more posted than promised. The rest, `RESERVE`, is for who has no connection
yet, and for connections that are aborted.
"""

from libos.fabric import structs


class Receives:
    """`size`: bytes of a receive buffer."""

    def __init__(self, fabric, buffers, regions, items, size):
        self.fabric = fabric
        self.buffers = buffers
        self.regions = regions
        self.items = items
        self.size = size
        self.posted = self.promised = 0
        self.spare = 0  # a chain of items whose buffers can be posted again
        self.spares = 0
        self.short = 0  # times that there was no memory for one

    def ensure(self, more):
        """Have `more` receives that are not promised, beside the reserve, as far as that can be."""
        wanted = self.promised + more + structs.RESERVE
        if wanted > self.fabric.receives:
            wanted = self.fabric.receives
        while self.posted < wanted:
            if not self.post():
                self.short += 1
                return

    def fill(self):
        """Post a burst where few are left."""
        if self.posted < self.promised + structs.RESERVE:
            self.ensure(structs.RESERVE)

    def put_by(self, i):
        """The message in it has been dealt with, and whoever has it is waited for: its buffer is posted later."""
        i.connection = self.spare
        self.spare = structs.self_of_item(i)
        self.spares += 1

    def spend(self):
        """Nothing else is to be done: post what was put by."""
        while self.spare:
            self.recycle(self.spared())

    def spared(self):
        """An item that was put by, of which there is one."""
        i = structs.item(self.spare)
        self.spare = i.connection
        self.spares -= 1
        i.connection = 0
        return i

    def post(self):
        """One more receive; false where there is no memory, or the fabric takes none."""
        if self.spare:
            i = self.spared()
            if self.again(i):
                return True
            self.drop(i)
            return False
        at = self.items.take()
        if at == 0:
            return False
        i = structs.item(at)
        i.kind = structs.A_RECEIVE
        i.buffer = self.buffers.alloc(self.size)
        if i.buffer and self.again(i):
            return True
        self.drop(i)
        return False

    def again(self, i):
        """Post the buffer of an item; false where the fabric takes none."""
        region = self.regions.of(i.buffer, self.size)
        if region < 0 or not self.fabric.post_receive(i.buffer, self.size, region, structs.self_of_item(i)):
            return False
        self.posted += 1
        return True

    def recycle(self, i):
        """The message in it has been dealt with."""
        if self.posted >= self.promised + 2 * structs.RESERVE or not self.again(i):
            self.drop(i)

    def drop(self, i):
        """Give an item and its buffer back."""
        if i.buffer:
            self.buffers.free(i.buffer)
        self.items.give(structs.self_of_item(i))

    def overdrawn(self):
        """Whether more may be promised than is posted: the fabric takes no more, and messages wait for them."""
        return self.posted >= self.fabric.receives and self.fabric.capabilities & structs.PATIENT != 0

    def promise(self, count, at_least):
        """Promise up to `count`; how many were. Where it can be overdrawn, `at_least` are."""
        self.ensure(count)
        n = self.posted - self.promised - structs.RESERVE
        if n > count:
            n = count
        if n < at_least:
            n = at_least if self.overdrawn() else 0
        self.promised += n
        return n

    def may_ask(self, count):
        """Whether so many answers may be asked for: the reserve is there for them too."""
        if self.posted - self.promised < count:
            self.ensure(count)
        return self.posted - self.promised >= count or self.overdrawn()
