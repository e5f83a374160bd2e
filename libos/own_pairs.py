"""Pairs of which both sides are this process's: a program's ends lie at one, the far ends that carry on for it at the
other.
"""

from libos import pair
from libos.memory_file import high_copy
from libos.pair import Pair
from libos.refusal import Refused

COMPILED = __file__.endswith(".so")


class OwnPairs:
    """`drain`: has the far side of a pair looked at from then on, false where there are too many."""

    def __init__(self, family, name, drain):
        self.family = family
        self.name = name
        self.drain = drain
        self.pairs = []  # (the program's side, the far ends' side)

    def slot(self):
        """(the program's side of a pair, the far ends' side, a slot of it). Raises Refused, OSError."""
        for near, beyond in self.pairs:
            slot = near.take_slot()
            if slot >= 0:
                return near, beyond, slot
        near = pair.make()
        beyond = Pair(high_copy(near.fd), 0)
        self.family.keep(b"%s/%d" % (self.name, len(self.pairs)), near)
        near.live += 1  # kept while there is no connection
        beyond.live += 1
        self.family.by_block[beyond.block] = beyond
        self.pairs.append((near, beyond))
        if not self.drain(beyond):
            raise Refused("NO_MEMORY")
        return near, beyond, near.take_slot()

    def forget(self):
        """All of it is another process's."""
        self.pairs.clear()
