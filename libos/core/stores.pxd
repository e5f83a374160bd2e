cimport cython
from libos cimport calls, raw
from libos.core cimport layout, logs
from libos.core.table cimport Table
from libos.log.group cimport Entry
from libos.log.volume cimport Volume
from libos.log.straight cimport Straight

cdef class Stores:
    cdef public Table table
    cdef public Volume volume
    cdef public Straight straight
    cdef public object heap, file, device, queues, lines
    @cython.locals(operation=size_t)
    cdef append(self, opened, size_t operation, unsigned long long size, list parts)
    cdef complete_push(self, size_t operation, long long result)
    @cython.locals(operation=size_t, offset="unsigned long long", size="unsigned long long", memory=size_t)
    cdef pop(self, opened)
    @cython.locals(queue=size_t, first="unsigned long long", operation=size_t)
    cdef size_t first_pop(self, opened) except? 0
    cdef popped(self, opened, size_t operation, long long result, size_t address=*, size_t memory=*)
    cpdef settle(self, whole=*)
    cdef happened(self, event)
