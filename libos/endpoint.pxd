cimport cython
from libos cimport calls, layout, leaving, raw, rings, spine

cdef long long PATIENCE, STUCK
cdef int NO, YES, LATER

cdef void look_next(size_t end) noexcept nogil
@cython.locals(r="long long")
cpdef long long pop(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(there="unsigned long long", header=size_t, head="unsigned long long")
cdef long long pop_ring(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(r="long long", returned="unsigned long long", limit="long long", turns=int)
cdef long long pop_returned(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(r="long long")
cdef long long pop_spine(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
cdef long long ahead(size_t end) noexcept nogil
@cython.locals(header=size_t, r="long long", left="long long", mark="unsigned long long", bounded=bint)
cdef long long pop_agreed(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(r="long long")
cpdef long long push(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(header=size_t, free="unsigned long long", used="unsigned long long", tail="unsigned long long")
cdef long long push_locked(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
cdef long long full(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
cdef long long push_beside(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(r="long long")
cdef long long push_last(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
cpdef void try_mark(size_t end) noexcept nogil
@cython.locals(sent="long long")
cdef void publish_mark(size_t end) noexcept nogil
cpdef unsigned long long inward(size_t end) noexcept nogil
cpdef bint upgraded(size_t end) noexcept nogil
cdef bint in_rings(size_t end) noexcept nogil
@cython.locals(r=int)
cpdef int ready(size_t end, int mask) noexcept nogil
cdef bint writable(size_t end) noexcept nogil
cdef bint reader_left(size_t end) noexcept nogil
cdef void reach_mark(size_t end) noexcept nogil
@cython.locals(r=int)
cdef bint room_after_goodbye(size_t end) noexcept nogil
cpdef bint stretch(size_t end) noexcept nogil
@cython.locals(head="unsigned long long")
cdef int stretched(size_t end) noexcept nogil
