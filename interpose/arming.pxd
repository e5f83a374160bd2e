cimport cython
from interpose cimport blocks, sets
from libos cimport layout, raw, rings

@cython.locals(bell="unsigned long long")
cdef void watched(size_t block, size_t end) noexcept nogil
@cython.locals(entry=size_t, block=size_t)
cpdef void hope(size_t end, unsigned long long begun) noexcept nogil
@cython.locals(entry=size_t)
cpdef void attached(size_t end) noexcept nogil
@cython.locals(entry=size_t, block=size_t)
cpdef bint in_kernel(size_t end) noexcept nogil
@cython.locals(table=size_t)
cdef unsigned long long unseen(unsigned long long ep) noexcept nogil
@cython.locals(alone=bint)
cdef bint arm(size_t end, unsigned long long bell, int mask) noexcept nogil
@cython.locals(entry=size_t)
cdef bint arm_for(size_t end, unsigned long long bell, int mask, size_t block) noexcept nogil
@cython.locals(alone=bint, i="unsigned long long", end=size_t)
cdef bint arm_all(size_t block, unsigned long long bell) noexcept nogil
