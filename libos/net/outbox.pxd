cimport cython
from libos cimport raw
from libos.net cimport octets, structs
from libos.net.tape cimport Tape

@cython.final
cdef class Outbox:
    cdef public Tape tape
    cdef public size_t base
    cdef public long long slot, capacity, head, count
    cdef size_t place(self, long long index) noexcept nogil
    cpdef size_t reserve(self) noexcept nogil
    cpdef void commit(self, long long length) noexcept nogil
    cpdef bint put(self, size_t address, long long length) noexcept nogil
    cpdef size_t frame(self, long long index) noexcept nogil
    cpdef long long length(self, long long index) noexcept nogil
    cpdef unsigned long long listed(self, size_t entries, long long limit) noexcept nogil
    cpdef void drop(self, long long frames) noexcept nogil
