"""Volumes and fork(2): a volume stays the parent's. The child lets go of what it has inherited of it, so that the next
owner finds the volume free when the parent ends, and nothing is written to the ring that both would have.
"""

import os
from weakref import WeakSet

from libos.errors import Fail, Kind

HOLDERS = WeakSet()


def hold(libos):
    """In a forked child `libos.orphaned()` is to be called."""
    HOLDERS.add(libos)


def let_go(libos):
    HOLDERS.discard(libos)


def check(libos):
    """Raises DEVICE for a libOS that this process has not made itself."""
    if libos.forsaken:
        raise Fail(Kind.DEVICE, "the volume is that of the process which this one was forked from")


def forsake():
    """In the child."""
    for libos in list(HOLDERS):
        let_go(libos)
        libos.orphaned()


os.register_at_fork(after_in_child=forsake)
