cimport cython
from libos cimport raw
from libos.net cimport octets

@cython.final
cdef class Pool:
    cdef public size_t base, lists_at
    cdef public long long room, bumped, used
    cpdef size_t take(self, long long size) noexcept nogil
    cpdef void give(self, size_t address, long long size) noexcept nogil
    cdef long long rounded(self, int kind) noexcept nogil
    cdef int kind_of(self, long long size) noexcept nogil
cdef long SYS_mmap, SYS_munmap, SYS_madvise
