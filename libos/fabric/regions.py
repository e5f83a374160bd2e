# cython: infer_types=True
"""Which region memory of the heap is in: a unit of it is registered when it is first used, and stays so."""

from libos import raw
from libos.fabric import structs


class Regions:
    """Of the memory of `buffers` with `fabric`. A word of the table: the number of the region and 1, or 0."""

    def __init__(self, fabric, buffers, area):
        self.fabric = fabric
        self.buffers = buffers
        self.units = buffers.length // structs.UNIT
        self.table = area.take(self.units * 8)
        self.registered = 0

    def of(self, address, length):
        """The number of the region that has these bytes; -1 where none can."""
        if address < self.buffers.base:
            return -1
        offset = address - self.buffers.base
        unit = offset // structs.UNIT
        if unit >= self.units or length > (unit + 1) * structs.UNIT - offset:
            return -1
        found = raw.load(self.table + unit * 8)
        if found == 0:
            region = self.fabric.register(self.buffers.base + unit * structs.UNIT, structs.UNIT)
            if region < 0:
                return -1
            self.registered += 1
            found = region + 1
            raw.store(self.table + unit * 8, found)
        return found - 1
