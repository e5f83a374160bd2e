"""The one libOS of a process, which demi_init makes."""

from libos.core.table import Table
from libos.runtime.memory import Heap

COMPILED = __file__.endswith(".so")


class Face:
    """The one libOS of the process, made by demi_init."""

    def __init__(self):
        self.table = Table(Heap())


FACE = Face()


def table():
    """The one table, for interpreted rooms."""
    return FACE.table


def count(counter):
    """demi_count: one of enum demi_counter (demi/catflap.h)."""
    if counter < 0:
        return FACE.table.heap.live() - FACE.table.transport.kept()
    return FACE.table.count(counter)
