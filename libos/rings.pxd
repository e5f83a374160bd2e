cimport cython
from libos cimport calls, layout, raw

cdef class Here:
    cdef public unsigned long long pid

cdef Here HERE
cdef unsigned long long ROBBED

@cython.locals(turns="unsigned long long")
cpdef bint lock(size_t at) noexcept nogil
cpdef void unlock(size_t at) noexcept nogil
@cython.locals(owner="unsigned long long")
cdef bint taken_over(size_t at) noexcept nogil
@cython.locals(offset="unsigned long long", first="unsigned long long")
cdef void span(size_t ring, unsigned long long mask, unsigned long long at, size_t address, unsigned long long count, bint outward) noexcept nogil
@cython.locals(header=size_t, first=bint, region=size_t)
cpdef size_t place(size_t end, unsigned long long level, bint outward) noexcept nogil
cpdef unsigned long long mask_of(unsigned long long level) noexcept nogil
@cython.locals(used="long long", header=size_t)
cpdef unsigned long long inbound(size_t end) noexcept nogil
@cython.locals(used="unsigned long long", level="unsigned long long", grown="unsigned long long", left="long long")
cdef unsigned long long inbound_here(size_t end) noexcept nogil
@cython.locals(level="unsigned long long")
cdef bint finished(size_t end, unsigned long long count) noexcept nogil
@cython.locals(used="unsigned long long", level="unsigned long long", part="unsigned long long", left="long long", more=bint)
cdef unsigned long long across(size_t end, size_t address, unsigned long long done, unsigned long long size, int flags) noexcept nogil
@cython.locals(used="long long")
cpdef unsigned long long outbound(size_t end) noexcept nogil
@cython.locals(used="unsigned long long", size="unsigned long long")
cdef unsigned long long room(size_t end) noexcept nogil
@cython.locals(size="unsigned long long", limit="unsigned long long")
cdef unsigned long long capacity(size_t end) noexcept nogil
@cython.locals(limit="unsigned long long")
cdef bint growable(size_t end) noexcept nogil
@cython.locals(level="unsigned long long")
cdef void grow(size_t end) noexcept nogil
@cython.locals(limit="unsigned long long", window="unsigned long long")
cdef unsigned long long limit_of(size_t end) noexcept nogil
cdef void soil(size_t end) noexcept nogil
@cython.locals(slot="unsigned long long", word=size_t)
cdef void mark_dirty(size_t end, size_t area) noexcept nogil
cdef void owe_edge(size_t end) noexcept nogil
@cython.locals(bell="unsigned long long")
cdef void ring_bell(size_t end, size_t word) noexcept nogil
cdef void ring_own(size_t end, unsigned long long bell) noexcept nogil
@cython.locals(bell="unsigned long long")
cdef void tell_own(size_t end) noexcept nogil
@cython.locals(mask=int, bell="unsigned long long")
cdef void wake_own(size_t end) noexcept nogil
cdef void ring(size_t end, size_t name) noexcept nogil
@cython.locals(header=size_t)
cpdef void tell_receiver(size_t end) noexcept nogil
@cython.locals(header=size_t)
cpdef void tell_sender(size_t end) noexcept nogil
cdef size_t bell_word(size_t end, int mask) noexcept nogil
cdef unsigned long long armed(size_t end, int mask) noexcept nogil
@cython.locals(word=size_t, other="unsigned long long", last="unsigned long long", at=size_t)
cdef bint arm(size_t end, unsigned long long bell, int mask) noexcept nogil
