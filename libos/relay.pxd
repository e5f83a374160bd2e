cimport cython
from libos cimport calls, endpoint, layout, leaving, raw, rings, spine
from libos.net cimport structs
from libos.net.tcp cimport user
from libos.net.tcp.engine cimport Engine

cdef long long STAGE

cpdef int errno_of(unsigned int error) noexcept nogil
cpdef bint has(size_t relay, unsigned long long flag) noexcept nogil
cpdef void mark(size_t relay, unsigned long long flag) noexcept nogil
@cython.locals(at=size_t)
cpdef void pump(Engine t, size_t relay, size_t stage) noexcept nogil
@cython.locals(ready="unsigned int", own=size_t)
cdef bint opened(Engine t, size_t relay, size_t at) noexcept nogil
cdef void leave_opening(size_t own, unsigned long long state) noexcept nogil
@cython.locals(own=size_t)
cdef size_t own_of(size_t relay) noexcept nogil
cdef void tell(size_t own, size_t far) noexcept nogil
@cython.locals(far=size_t, size="long long", r="long long")
cdef void outward(Engine t, size_t relay, size_t at, size_t stage) noexcept nogil
@cython.locals(far=size_t, count="long long", r="long long", ready="unsigned int")
cdef void inward(Engine t, size_t relay, size_t at) noexcept nogil
@cython.locals(slot="unsigned long long", area=size_t, word=size_t)
cdef bint full(size_t far) noexcept nogil
cdef void abort(Engine t, size_t relay) noexcept nogil
@cython.locals(own=size_t)
cdef void fail(Engine t, size_t relay, size_t at, unsigned int error) noexcept nogil
@cython.locals(far=size_t, scratch=size_t)
cpdef void reset(size_t relay) noexcept nogil
cdef void over(size_t relay) noexcept nogil
