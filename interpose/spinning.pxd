cimport cython
from interpose cimport description
from libos cimport driver, layout, raw

cdef long long OFTEN, SELDOM
cdef int ASKED, WAITED, VERDICT, SHARES, ALONE, UNKNOWN

cdef class Spinning:
    cdef public unsigned long long spin, cores, crowded
    cdef public long long look_at

cdef Spinning HERE

cdef void look(long long turns) noexcept nogil
@cython.locals(bell="unsigned long long")
cdef bint pays(size_t w, long long now) noexcept nogil
@cython.locals(verdict=int, waited="long long", since="long long")
cpdef bint alone(size_t line, long long now) noexcept nogil
