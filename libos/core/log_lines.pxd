cimport cython
from libos cimport calls, raw
from libos.core cimport layout, logs
from libos.core.table cimport Table

cdef class LogLines:
    cdef public Table table
    cdef public object heap, queues
    @cython.locals(queue=size_t, number="unsigned long long", operation=size_t, at=size_t)
    cdef list waiting(self, opened)
    cpdef complete_push(self, opened, size_t operation, long long result)
    @cython.locals(queue=size_t, first="unsigned long long", operation=size_t)
    cpdef size_t first_pop(self, opened) except? 0
    cpdef asked_at(self, size_t operation)
    @cython.locals(queue=size_t)
    cpdef popped(self, opened, size_t operation, long long result, size_t address=*, size_t memory=*)
    @cython.locals(queue=size_t)
    cpdef entered(self, log, unsigned long long line, unsigned long long cursor)
    cpdef spelled(self, names, size_t to, size_t room, size_t size_to)
