"""A connection of Catmint as a queue that compiled code pushes to and pops from here and now (libos/immediate.py)."""

from libos import raw
from libos.fabric import structs
from libos.immediate import Immediate
from libos.sgarray import SGArray

COMPILED = __file__.endswith(".so")
INBOUND, OUTBOUND = 0, 1
SPIN = 20000  # ns that a wait looks here before it goes on as others do
SELDOM = 63


class MessageQueue(Immediate):
    """`at`: the connection's record in the core, 0 without one; `rest`: what is left of a message that was looked at;
    `reading`: pops are wanted; `alone`: the other end has said that it is done, and is gone.
    """

    def __init__(self, catmint, heap):
        Immediate.__init__(self)
        self.catmint = catmint
        self.heap = heap
        self.at = 0
        self.rest = None
        self.reading = True
        self.alone = False

    def first(self):
        """Whether the next message is for who asks now."""
        return self.at != 0 and not self.waiting[INBOUND] and self.rest is None and self.reading

    def expects(self):
        return self.first() and not self.catmint.machine.ready(self.at) & structs.READABLE

    def at_once(self):
        return self.message() if self.first() else None

    def message(self):
        """The next message; None where there is none, or the end or a failure is to be told."""
        result = self.catmint.result
        if self.catmint.machine.pop(self.at, result) != 1:
            return None
        self.catmint.flush()
        sga = SGArray.__new__(SGArray)
        sga.segments = [raw.memory(raw.load(result + 8), raw.load(result + 16))]
        sga.heap, sga.addresses, sga.alive = self.heap, (raw.load(result),), True
        return sga

    def put_at_once(self, sga):
        if self.at == 0 or self.alone or self.waiting[OUTBOUND] or not sga.alive or len(sga.segments) != 1:
            return -1
        view = sga.segments[0]
        size = sga.length()
        place = raw.view_at(view) if type(view) is memoryview else 0
        if place == 0 or size == 0 or self.catmint.machine.push_at_once(self.at, place, size) != 1:
            return -1
        return size

    def awaited(self):
        began = turns = 0
        while True:
            sga = self.message()
            if sga is not None:
                return sga
            self.catmint.turn()
            turns += 1
            if turns & SELDOM == 0:
                now = raw.now()
                if began == 0:
                    began = now
                if now - began > SPIN:
                    return None
