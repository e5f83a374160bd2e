cimport cython
from libos cimport raw
from libos.runtime.memory cimport Heap

@cython.locals(at=size_t)
cpdef size_t address_of(view) except 0

@cython.freelist(64)
cdef class SGArray:
    cdef public list segments
    cdef public tuple addresses
    cdef public Heap heap
    cdef public bint alive
    @cython.locals(total="long long")
    cpdef long long length(self)
    cpdef void retain(self)
    cpdef release(self)
    @cython.locals(handed=SGArray)
    cpdef SGArray handed_over(self)
