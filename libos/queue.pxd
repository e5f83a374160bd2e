from libos cimport calls

cdef class Queue:
    cdef public long qd
    cdef public int fd
    cdef long long pop_into(self, size_t address, unsigned long long size, int flags) noexcept nogil
    cdef long long push_from(self, size_t address, unsigned long long size, int flags) noexcept nogil
    cdef long long pop_message(self, size_t message, int flags) noexcept nogil
    cdef long long push_message(self, size_t message, int flags) noexcept nogil
    cdef long long accept_into(self, size_t address, size_t length, int flags) noexcept nogil
    cdef long long connect_to(self, size_t address, unsigned int length) noexcept nogil
    cdef bint upgraded(self) noexcept nogil
    cdef int ready(self, int mask) noexcept nogil
    cdef bint arm(self, unsigned long long bell, int mask) noexcept nogil
