cimport cython
from interpose cimport abi, arming, blocks, description, interest, linux, scanning, sets, spinning
from interpose.description cimport Description
from libos cimport driver, endpoint, layout, leaving, raw, rings, spine

cdef long long MILLISECOND, QUIET

cdef long long plain(size_t what, size_t w) noexcept nogil
cdef void ended(unsigned long long about) noexcept nogil
cdef bint counted(Description d, size_t end, size_t w) noexcept nogil
@cython.locals(bell="unsigned long long")
cdef void awake(size_t w) noexcept nogil
cdef void asleep(unsigned long long bell) noexcept nogil
cdef long long rest(size_t w, long long left, long long deadline) noexcept nogil
@cython.locals(deadline="long long", left="long long", bell="unsigned long long", events="unsigned long long")
cdef long long doze(size_t end, int fd, int mask, size_t w, long long timeout) noexcept nogil
@cython.locals(block=size_t, deadline="long long", found="long long", r="long long", now="long long")
cdef long long wait(unsigned long long ep, size_t events, unsigned long long n, size_t w) noexcept nogil
@cython.locals(turn="unsigned long long")
cdef bint quiet(size_t block) noexcept nogil
@cython.locals(misses="unsigned long long", limit="long long", turns="unsigned long long", found="long long")
cdef long long spin(size_t block, size_t events, unsigned long long n, size_t w, long long now, long long deadline) noexcept nogil
@cython.locals(left="long long", bell="unsigned long long", found="long long")
cdef long long sleep(size_t block, size_t events, unsigned long long n, size_t w, long long deadline) noexcept nogil
@cython.locals(deadline="long long", found="long long", now="long long", left="long long", bell="unsigned long long")
cdef long long poll(size_t fds, size_t handles, size_t copy, unsigned long long n, size_t w) noexcept nogil
@cython.locals(limit="long long", turns="unsigned long long")
cdef bint spin_polled(size_t fds, size_t handles, unsigned long long n, size_t w, long long now, long long deadline) noexcept nogil
@cython.locals(i="unsigned long long")
cdef bint any_hope(size_t handles, unsigned long long n) noexcept nogil
@cython.locals(i="unsigned long long")
cdef bint any_ring(size_t handles, unsigned long long n) noexcept nogil
@cython.locals(alone=bint, i="unsigned long long", end=size_t)
cdef bint arm_polled(size_t fds, size_t handles, unsigned long long n, unsigned long long bell) noexcept nogil
cdef unsigned int events_of(size_t fds, unsigned long long i) noexcept nogil
cdef int mask_of(unsigned int events) noexcept nogil
@cython.locals(i="unsigned long long", end=size_t)
cdef bint rings_ready(size_t fds, size_t handles, unsigned long long n) noexcept nogil
@cython.locals(i="unsigned long long", events="unsigned int", end=size_t, r="long long", found="long long", have="unsigned int", ready=int)
cdef long long poll_once(size_t fds, size_t handles, size_t copy, unsigned long long n) noexcept nogil
