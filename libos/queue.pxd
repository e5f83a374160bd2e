cdef class Queue:
    cdef public long qd
    cdef public int fd
    cpdef long long pop_into(self, size_t address, unsigned long long size, int flags) noexcept nogil
    cpdef long long push_from(self, size_t address, unsigned long long size, int flags) noexcept nogil
    cpdef long long pop_message(self, size_t message, int flags) noexcept nogil
    cpdef long long push_message(self, size_t message, int flags) noexcept nogil
    cpdef long long accept_into(self, size_t address, size_t length, int flags) noexcept nogil
    cpdef long long connect_to(self, size_t address, unsigned int length) noexcept nogil
