cdef class Tape:
    cdef public bint on
    cdef long long call(self, unsigned int kind, unsigned long long a, unsigned long long b, unsigned long long c, unsigned long long d, unsigned long long e, unsigned long long f) noexcept nogil
    cdef void finish(self) noexcept nogil
