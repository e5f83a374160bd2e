cimport cython
from libos cimport calls, layout, raw, rings, spine

cdef unsigned long long KEEPS

@cython.locals(header=size_t, leaves=bint, tail="unsigned long long", head="unsigned long long")
cdef long long replay(size_t end) noexcept nogil
cdef long long part(size_t end, size_t header) noexcept nogil
@cython.locals(tail="unsigned long long", at="unsigned long long", level="unsigned long long", count="unsigned long long", grown="unsigned long long", mask="unsigned long long", r="long long")
cdef long long send_again(size_t end) noexcept nogil
@cython.locals(size=long, unsent=long, r="long long")
cdef long long send_widely(size_t end) noexcept nogil
cdef void finish(size_t end) noexcept nogil
@cython.locals(size="long long", largest="long long")
cdef long long keeps(size_t end) noexcept nogil
@cython.locals(r="long long", state="unsigned long long")
cpdef bint settle(size_t end) noexcept nogil
@cython.locals(closed=bint, large=bint, beyond=bint)
cpdef void stop_sending(size_t end, bint last) noexcept nogil
cpdef void shut(size_t header) noexcept nogil
@cython.locals(header=size_t)
cdef bint left(size_t end) noexcept nogil
@cython.locals(header=size_t)
cpdef void close_inward(size_t end) noexcept nogil
cdef bint unread(size_t end) noexcept nogil
@cython.locals(tail="unsigned long long")
cpdef bint leave(size_t end) noexcept nogil
@cython.locals(state="unsigned long long")
cdef bint sending(size_t end) noexcept nogil
