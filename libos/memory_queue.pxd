cimport cython
from libos.immediate cimport Immediate
from libos.sgarray cimport SGArray

@cython.final
cdef class MemoryQueue(Immediate):
    cdef public object libos
    cdef public list ring
    cdef public long long capacity, first, count
    @cython.locals(size="long long")
    cpdef put(self, sga)
    @cython.locals(sga=SGArray)
    cpdef SGArray take(self)
