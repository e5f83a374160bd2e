cimport cython
from libos cimport raw
from libos.net cimport octets

@cython.final
cdef class Area:
    cdef public size_t base
    cdef public long long room, used

@cython.final
cdef class Slots:
    cdef public size_t base, chain
    cdef public long long size, count, touched, used
    cdef size_t take(self) noexcept nogil
    cdef void give(self, size_t at) noexcept nogil
    cpdef long long number(self, size_t at) noexcept nogil
    cpdef size_t slot(self, long long number) noexcept nogil
