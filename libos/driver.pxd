cdef class Driver:
    cdef bint look(self) noexcept nogil
    cdef bint look_again(self) noexcept nogil
    cdef void carry(self) noexcept nogil
    cdef void rest(self, unsigned long long bell) noexcept nogil
    cdef bint depart(self, size_t relay, bint reset) noexcept nogil
    cdef bint pass_on(self) noexcept nogil
    cdef void finish(self) noexcept nogil

cdef class Driving:
    cdef public bint on
    cdef public Driver driver

cdef Driving HERE
