cimport cython
from libos cimport raw
from libos.net cimport octets, structs
from libos.net.pool cimport Pool
from libos.net.structs cimport Tcb

@cython.final
cdef class Deadlines:
    cdef public Pool pool
    cdef public size_t base
    cdef public long long size, count
    cdef bint arm(self, Tcb *c, long long deadline) noexcept nogil
    cdef void drop(self, Tcb *c) noexcept nogil
    cdef bint grow(self) noexcept nogil
    cdef void place(self, long long index, size_t at) noexcept nogil
    cdef void up(self, long long index) noexcept nogil
    cdef void down(self, long long index) noexcept nogil
    cpdef size_t first(self) noexcept nogil
    cdef size_t entry(self, long long index) noexcept nogil
