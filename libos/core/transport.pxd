cdef class Transport:
    cdef public bint here
    cdef long long make(self, int family, int kind) noexcept nogil
    cdef long long attempt(self, size_t queue, size_t operation) noexcept nogil
    cdef long long look(self) noexcept nogil
    cdef long long doze(self) noexcept nogil
    cdef void rouse(self) noexcept nogil
    cdef void shut(self, size_t queue) noexcept nogil
    cdef long long kept(self) noexcept nogil
    cdef void forked(self) noexcept nogil
    cdef void listen(self, unsigned long long qd, long long backlog) noexcept with gil
    cdef void call(self, unsigned long long qd) noexcept with gil
    cdef void release(self, unsigned long long qd, long long fd) noexcept with gil
