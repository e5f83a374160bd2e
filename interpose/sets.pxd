cimport cython
from interpose cimport blocks
from libos cimport layout, raw, rings
from libos.runtime cimport wakers

cdef class Sets:
    cdef public size_t table, watch, lock_at, plain_at, arena, pairs, unseen_at
    cdef public unsigned long long top
    cdef public size_t spare

cdef Sets HERE

@cython.locals(ep="unsigned long long", block=size_t)
cdef void forking(bint done) noexcept nogil
@cython.locals(ep="unsigned long long", block=size_t)
cpdef void forked() noexcept nogil
@cython.locals(other=size_t)
cdef bint drained(size_t pair) noexcept nogil
@cython.locals(other=size_t)
cpdef void pair_came(size_t block, bint here) noexcept nogil
cdef size_t watchers(size_t end) noexcept nogil
@cython.locals(block=size_t, i="unsigned long long")
cdef void mark(size_t entry) noexcept nogil
@cython.locals(entry=size_t)
cdef void mark_all(size_t end) noexcept nogil
@cython.locals(pair=size_t, area=size_t)
cdef void drain() noexcept nogil
@cython.locals(summary="unsigned long long", i="unsigned long long", soiled="unsigned long long", end=size_t)
cdef void drain_pair(size_t pair, size_t area) noexcept nogil
@cython.locals(ep="unsigned long long", block=size_t)
cdef void distrust(unsigned long long bell) noexcept nogil
cdef size_t block_of(unsigned long long ep) noexcept nogil
