cimport cython
from libos cimport raw
from libos.runtime cimport wakers
from libos.runtime.wakers cimport Wakers

@cython.final
cdef class Qtokens:
    cdef public Wakers bits
    cdef public size_t tokens_at, counters_at
    @cython.locals(slot="long long", qtoken="unsigned long long", at=size_t)
    cpdef unsigned long long block(self, int kind, long qd) noexcept nogil
    @cython.locals(at=size_t)
    cpdef unsigned long long about(self, unsigned long long qtoken) noexcept nogil
    cpdef bint complete(self, unsigned long long qtoken) noexcept nogil
    @cython.locals(slot="unsigned long long")
    cpdef bint take(self, unsigned long long qtoken) noexcept nogil
    cpdef bint drop(self, unsigned long long qtoken) noexcept nogil
    @cython.locals(slot="unsigned long long", at=size_t)
    cdef bint retire(self, unsigned long long qtoken, int counter) noexcept nogil
    cpdef unsigned long long count(self, int counter) noexcept nogil
    cpdef unsigned long long live(self) noexcept nogil
