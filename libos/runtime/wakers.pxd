cimport cython
from libos cimport calls, raw

@cython.final
cdef class Wakers:
    cdef public size_t used_at, ready_at, summary_at
    cdef public unsigned long long words, groups, cursor, full
    @cython.locals(i="unsigned long long", word="unsigned long long", at=size_t, n="unsigned long long")
    cpdef long long claim(self) noexcept nogil
    cpdef void release(self, unsigned long long slot) noexcept nogil
    cpdef void wake(self, unsigned long long slot) noexcept nogil
    @cython.locals(bit="unsigned long long")
    cpdef bint take(self, unsigned long long slot) noexcept nogil
    @cython.locals(n="unsigned long long")
    cdef long long take_first(self, unsigned long long word, unsigned long long ready) noexcept nogil
    @cython.locals(word="unsigned long long", group="unsigned long long", i="unsigned long long", some="unsigned long long", slot="long long", n="unsigned long long")
    cpdef long long next(self) noexcept nogil

cdef size_t reserve(unsigned long long size) noexcept nogil
