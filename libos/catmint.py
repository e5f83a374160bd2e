"""Catmint: connections of messages over one endpoint of a fabric, and the turn that carries completions to their core.

What has come goes to whoever waits for it in one pass: `turn` takes a burst of completions and has done what there is
to do then. Users' calls (`machine`) are followed by a `flush`, which sends what they have made.

One lock, the caller's, guards all of it. The time is monotonic nanoseconds.
"""

import os

from libos import raw
from libos.fabric import structs
from libos.fabric.engine import Engine, room
from libos.fabric.machine import Machine
from libos.heap_buffers import HeapBuffers
from libos.memory_file import private

COMPILED = __file__.endswith(".so")
BURST = 64  # completions of a turn
SELDOM = 31  # of so many turns and one more, one looks at the clock
CONNECTIONS, EAGER, SENDS, ITEMS = 16384, 4096, 1024, 16384  # limits of the core (libos/fabric/engine.py)


class Catmint:
    """Over `fabric`, a Fabric; messages lie in `heap`. Raises MemoryError."""

    def __init__(self, fabric, heap):
        self.fabric = fabric
        self.buffers = HeapBuffers(heap)
        size = room(fabric, self.buffers, CONNECTIONS, EAGER, SENDS, ITEMS)
        self.engine = Engine(
            fabric, self.buffers, private(size), size, os.urandom(16), CONNECTIONS, EAGER, sends=SENDS, items=ITEMS
        )
        self.machine = Machine(self.engine)
        self.completions = private(BURST * structs.completion_size())
        self.result = private(64)  # of a pop
        self.turns = 0
        self.now = raw.now()  # that of the last look at the clock

    def turn(self):
        """What is completed, and what there is to do then. True when anything was completed.

        The clock is looked at in few of the turns: what it says is for what takes seconds.
        """
        n = self.fabric.poll(self.completions, BURST)
        self.turns += 1
        if self.turns & SELDOM == 0:
            self.now = raw.now()
        elif n == 0 and self.machine.at_rest():
            return False
        self.machine.receive(self.completions, n, self.now)
        self.machine.poll(self.now)
        return n != 0

    def flush(self):
        """What a user's call has made goes out."""
        if self.machine.pressed():
            self.machine.poll(self.now)

    def deadline(self, now):
        """When a turn is needed at the latest, though no bell rings; -1 for never. The next one looks at the clock."""
        self.turns = -1
        due = self.machine.next_deadline()
        other = self.fabric.deadline(now) if self.engine.connections.used else -1
        return other if due < 0 or 0 <= other < due else due

    def close(self):
        """Nobody uses any of it any more: the buffers go back to the heap."""
        self.fabric.close()
        for number in range(self.engine.items.touched):
            i = structs.item(self.engine.items.slot(number))
            if i.kind in (structs.A_RECEIVE, structs.A_MESSAGE) and i.buffer:
                self.buffers.heap.free(i.buffer)
