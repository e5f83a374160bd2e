cimport cython
from interpose cimport abi, description, linux
from libos cimport calls, endpoint, layout, raw
from libos.runtime cimport wakers

cdef class Sets:
    cdef public size_t table, plain_at
    cdef public unsigned long long spin, top

cdef Sets SETS_HERE

@cython.locals(block=size_t, count="unsigned long long", i="unsigned long long", at=size_t)
cpdef void change(unsigned long long ep, int op, unsigned long long fd, size_t end, size_t event) noexcept nogil
@cython.locals(offset="unsigned long long")
cdef void move(size_t block, unsigned long long last, unsigned long long i) noexcept nogil
@cython.locals(ep="unsigned long long", block=size_t, i="unsigned long long")
cpdef void forget_end(size_t end) noexcept nogil
@cython.locals(block=size_t)
cpdef void forget_set(unsigned long long ep) noexcept nogil
@cython.locals(found="unsigned long long", count="unsigned long long", i="unsigned long long", at=size_t, have="unsigned long long")
cdef unsigned long long scan(unsigned long long ep, size_t block, size_t events, unsigned long long n) noexcept nogil
cdef void put(size_t event, unsigned long long have, unsigned long long data) noexcept nogil
@cython.locals(end=size_t, wanted="unsigned long long", have="unsigned long long", ready=int, edge=bint)
cdef unsigned long long have_now(unsigned long long ep, size_t at) noexcept nogil
cdef void mask_spine(unsigned long long ep, size_t at, unsigned long long wanted) noexcept nogil
cdef void modify(unsigned long long ep, unsigned long long fd, unsigned long long events, unsigned long long data, size_t end) noexcept nogil
@cython.locals(i="unsigned long long", j="unsigned long long", end=size_t)
cdef void spines(size_t block, size_t events, unsigned long long n) noexcept nogil
@cython.locals(kept="unsigned long long", i="unsigned long long", j="unsigned long long")
cdef unsigned long long merge(size_t events, unsigned long long found, unsigned long long more) noexcept nogil
cdef bint same(size_t a, size_t b) noexcept nogil
@cython.locals(count="unsigned long long", i="unsigned long long")
cdef bint any_upgraded(size_t block) noexcept nogil
cdef long long plain(int kind, size_t w) noexcept nogil
cdef void ended(unsigned long long about) noexcept nogil
@cython.locals(bell="unsigned long long")
cdef void awake(size_t w) noexcept nogil
@cython.locals(block=size_t, turn="unsigned long long", found="unsigned long long", r="long long", limit="long long", deadline="long long", turns="unsigned long long")
cdef long long wait(unsigned long long ep, size_t events, unsigned long long n, size_t w) noexcept nogil
@cython.locals(left="long long", bell="unsigned long long", count="unsigned long long", i="unsigned long long", end=size_t, found="unsigned long long")
cdef long long sleep(unsigned long long ep, size_t block, size_t events, unsigned long long n, size_t w, long long deadline) noexcept nogil
@cython.locals(deadline="long long", found="long long", limit="long long", turns="unsigned long long", left="long long", bell="unsigned long long", i="unsigned long long", end=size_t)
cdef long long poll(size_t fds, size_t handles, size_t copy, unsigned long long n, size_t w) noexcept nogil
cdef unsigned int events_of(size_t fds, unsigned long long i) noexcept nogil
cdef int mask_of(unsigned int events) noexcept nogil
@cython.locals(i="unsigned long long", end=size_t)
cdef bint rings_ready(size_t fds, size_t handles, unsigned long long n) noexcept nogil
@cython.locals(i="unsigned long long", events="unsigned int", end=size_t, r="long long", found="long long", have="unsigned int", ready=int)
cdef long long poll_once(size_t fds, size_t handles, size_t copy, unsigned long long n) noexcept nogil
