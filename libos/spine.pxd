cimport cython
from libos cimport calls, layout, raw, rings

@cython.locals(place="unsigned long long")
cdef size_t fd_at(size_t end) noexcept nogil
cdef size_t sleepers_at(size_t end) noexcept nogil
cpdef void nobody_sleeps(size_t end) noexcept nogil
cpdef unsigned long long fd_of(size_t end) noexcept nogil
cpdef void set_fd(size_t end, unsigned long long fd) noexcept nogil
cdef long long kernel_pop(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
cdef long long kernel_push(size_t end, size_t address, unsigned long long size, int flags) noexcept nogil
cdef bint hung_up(size_t end) noexcept nogil
cdef bint has_news(size_t end) noexcept nogil
cdef bint lost(size_t end) noexcept nogil
@cython.locals(news=int)
cdef bint stops(size_t end, size_t scratch) noexcept nogil
@cython.locals(r="unsigned int")
cdef unsigned int asked_error(size_t end) noexcept nogil
cdef unsigned int asked(size_t end, long request, size_t scratch) noexcept nogil
@cython.locals(at=size_t)
cdef unsigned int option(size_t end, long level, long name) noexcept nogil
cdef void set_option(size_t end, long level, long name, long long value) noexcept nogil
cdef bint spine_writable(size_t end) noexcept nogil
cdef void lock_in(size_t end) noexcept nogil
cdef void lock_out(size_t end) noexcept nogil
