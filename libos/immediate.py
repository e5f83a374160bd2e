"""Queues of which an element can be had here and now: by compiled code, with neither lock nor coroutine.

`libos/inline.py` asks them first. Whatever they don't settle goes the ordinary way: attempts under the lock.
"""

from collections import deque

from libos.errors import Fail, Kind

COMPILED = __file__.endswith(".so")


def misled(wrong):
    """What a pop fails with when the application's function of its queue has raised."""
    return Fail(Kind.INVALID, f"{type(wrong).__name__} in a queue's function: {wrong}")


class Immediate:
    """`waiting`: the blocked operations, inbound and outbound; `origin`: the value of a pop's result."""

    def __init__(self):
        self.qd = self.origin = 0
        self.waiting = (deque(), deque())

    def at_once(self):
        """The next element, its popper's from now on; None when it can't be had so, whether there is one or not."""
        return None

    def put_at_once(self, sga):
        """Take an array whole: its bytes, or -1 when that can't be done so."""
        return -1

    def expects(self):
        """Whether a pop that waits here, first in line, needs no coroutine: what comes is followed by a wake."""
        return False

    def awaited(self):
        """Look for what the first in line waits for, for a moment: the element, or None."""
        return None


class Passage(Immediate):
    """Between a queue and who pops what a function passes on of its elements: the base of filters and maps.

    At once is what its native function does with what its source gives at once, while nobody is in line before that.
    `elements`, `failed` and `sources` are those of the derived queue.
    """

    def __init__(self, source, native):
        Immediate.__init__(self)
        self.source = source if native is not None and isinstance(source, Immediate) else None
        self.native = native
        self.origin = 0 if self.source is None else self.source.origin or self.source.qd

    def at_once(self):
        if self.source is None or self.waiting[0] or self.elements or self.failed or self.sources[0].ended:
            return None
        while True:
            sga = self.source.at_once()
            if sga is None:
                return None
            try:
                passed = self.native.passed(sga)
            except Exception as wrong:
                sga.free()
                self.failed.append(misled(wrong))
                return None
            if passed is not None:
                return passed
