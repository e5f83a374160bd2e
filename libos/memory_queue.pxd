cimport cython
from libos.sgarray cimport SGArray

@cython.final
cdef class MemoryQueue:
    cdef public object libos
    cdef public list ring
    cdef public tuple waiting
    cdef public long long qd, capacity, first, count
    @cython.locals(size="long long")
    cpdef put(self, sga)
    @cython.locals(sga=SGArray)
    cpdef SGArray take(self)
