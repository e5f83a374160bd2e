cimport cython
from libos cimport calls, gil, raw

cdef unsigned long long ALONE, SHARED, ASKED, PASSED
cdef long long PATIENCE

@cython.final
cdef class Passing:
    cdef public size_t at
    cpdef void share(self) noexcept nogil
    cpdef bint ask(self) noexcept nogil
    cpdef bint asked(self) noexcept nogil
    cpdef void settle(self, bint passed) noexcept nogil
    @cython.locals(limit="long long", state=size_t)
    cpdef bint wait(self) noexcept nogil
