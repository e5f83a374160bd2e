cimport cython
from libos cimport calls, layout, raw

@cython.locals(turns="unsigned long long")
cpdef void lock(size_t at) noexcept nogil
cpdef void unlock(size_t at) noexcept nogil
@cython.locals(offset="unsigned long long", first="unsigned long long")
cdef void span(size_t ring, unsigned long long mask, unsigned long long at, size_t address, unsigned long long count, bint outward) noexcept nogil
@cython.locals(used="unsigned long long")
cdef unsigned long long inbound(size_t end) noexcept nogil
@cython.locals(used="unsigned long long")
cdef unsigned long long outbound(size_t end) noexcept nogil
@cython.locals(bell="unsigned long long", name=size_t)
cpdef void ring_bell(size_t end, size_t word) noexcept nogil
cdef bint hung_up(size_t end) noexcept nogil
cdef bint spine_writable(size_t end) noexcept nogil
cdef void look_next(size_t end) noexcept nogil
cpdef void leave(size_t end) noexcept nogil
@cython.locals(r="long long")
cdef long long pop(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(there="unsigned long long")
cdef long long pop_ring(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(r="long long")
cdef long long pop_spine(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(r="long long", left="unsigned long long", mark="unsigned long long")
cdef long long pop_agreed(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(r="long long")
cdef long long push(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(header=size_t, used="unsigned long long")
cdef long long push_locked(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
cdef void try_mark(size_t end) noexcept nogil
@cython.locals(sent="long long")
cdef void publish_mark(size_t end) noexcept nogil
cdef unsigned long long inward(size_t end) noexcept nogil
cpdef bint upgraded(size_t end) noexcept nogil
@cython.locals(r=int)
cdef int ready(size_t end, int mask) noexcept nogil
@cython.locals(word=size_t, other="unsigned long long")
cdef bint arm(size_t end, unsigned long long bell, int mask) noexcept nogil
