cimport cython
from libos cimport raw
from libos.blocks.block_device cimport BlockDevice
from libos.log cimport layout
from libos.log.catalog cimport Catalog, Log
from libos.log.group cimport Entry, Group

cdef class Volume:
    cdef public BlockDevice device
    cdef public Group group
    cdef public Catalog catalog
    cdef public object heap, superblock, names, nameless, flying_at, readings, space, urgent, pending, events
    cdef public list flying, suspects
    cdef public dict counters
    cdef public unsigned long long block, size, largest, segment, offset, following, sequence, previous, tries, broken, directory, unlisted
    cdef public size_t page, page_vector
    cdef public bint super_flying, checkpoint_due, fresh
    cpdef work(self)
    @cython.locals(n="unsigned long long", entry=Entry, entries=list, log=Log, logs=dict)
    cdef next_group(self)
    cdef make_room(self)
    cpdef checkpoint(self)
    cdef launch(self, list entries)
    @cython.locals(at="unsigned long long")
    cdef send(self)
    cpdef completed(self, unsigned long long tag, long long result)
    @cython.locals(entry=Entry, entries=list, catalog=Catalog, counters=dict, segment="unsigned long long", offset="unsigned long long")
    cdef durable(self)
