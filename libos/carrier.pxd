cimport cython
from libos cimport at_exit, calls, driver, layout, raw, rings
from libos.driver cimport Driver
from libos.passing cimport Passing

cdef long long RELAYS, PAIRS, LONGEST
cdef unsigned long long ASLEEP, AWAKE, CALLED

@cython.locals(limit="long long")
cdef void last(void *nothing) noexcept nogil

cdef class Carrier(Driver):
    cdef public Passing passing
    cdef public long call
    cdef public bint left, relieved
    cdef public size_t lock_at, armed_at, called_at, one_at, pairs_at, stage, relays, free, size
    cdef public long long pairs, used, looks, seen_at, wakes_at
    cdef bint turn(self, long long now) noexcept nogil
    cdef void carried(self, size_t at) noexcept nogil
    cdef bint arm(self) noexcept nogil
    cdef void remind(self) noexcept nogil
    cdef bint look(self) noexcept nogil
    cdef bint look_again(self) noexcept nogil
    @cython.locals(found=bint)
    cdef bint take_turns(self) noexcept nogil
    cdef void carry(self) noexcept nogil
    cdef void rest(self, unsigned long long bell) noexcept nogil
    cdef bint enter(self) noexcept nogil
    cdef void leave(self) noexcept nogil
    @cython.locals(turns="unsigned long long")
    cdef void hold(self) noexcept nogil
    cdef void wake_keeper(self) noexcept nogil
    @cython.locals(i="long long")
    cdef bint soiled(self) noexcept nogil
    @cython.locals(i="long long", block=size_t, found=bint)
    cdef bint drain(self) noexcept nogil
    @cython.locals(summary="unsigned long long", soiled="unsigned long long", i="unsigned long long", far=size_t)
    cdef void drain_pair(self, size_t block, size_t area) noexcept nogil
    cdef void pump(self, size_t at) noexcept nogil
