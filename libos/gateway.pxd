cimport cython
from libos cimport at_exit, calls, driver, endpoint, layout, postbox, raw, relay, rings
from libos.catnip cimport Catnip
from libos.driver cimport Driver
from libos.net cimport neighbors, routes, structs
from libos.net.tcp cimport closing, user
from libos.net.tcp.engine cimport Engine
from libos.net.udp cimport Sockets
from libos.passing cimport Passing

cdef long long RELAYS, PAIRS
cdef unsigned long long LISTENING, ASLEEP, AWAKE, CALLED
cdef long long NEVER, PATIENCE, LONGEST

@cython.locals(limit="long long")
cdef void last(void *nothing) noexcept nogil

@cython.final
cdef class Gateway(Driver):
    cdef public Catnip catnip
    cdef public Engine tcp
    cdef public Sockets udp
    cdef public Passing passing
    cdef public long call
    cdef public bint left, relieved
    cdef public size_t lock_at, armed_at, called_at, one_at, pairs_at, stage, relays, free, bell_at
    cdef public long long pairs, used, looks, seen_at, wakes_at, heard, patient_until
    cpdef bint look(self) noexcept nogil
    cpdef bint look_again(self) noexcept nogil
    @cython.locals(found=bint)
    cdef bint take_turns(self) noexcept nogil
    cpdef void carry(self) noexcept nogil
    cpdef void rest(self) noexcept nogil
    @cython.locals(due="long long")
    cpdef void remind(self) noexcept nogil
    @cython.locals(r=bint, now="long long")
    cpdef bint depart(self, size_t at, bint reset) noexcept nogil
    cpdef bint pass_on(self) noexcept nogil
    @cython.locals(tries=int)
    cpdef void finish(self) noexcept nogil
    cpdef bint enter(self) noexcept nogil
    cpdef void leave(self) noexcept nogil
    @cython.locals(turns="unsigned long long")
    cpdef void hold(self) noexcept nogil
    @cython.locals(r="long long")
    cpdef long long receive(self, size_t end, size_t message, size_t address, unsigned long long size, int flags) noexcept nogil
    @cython.locals(at=size_t, r="long long", now="long long")
    cpdef long long send(self, size_t end, size_t message, size_t address, long long size, size_t name) noexcept nogil
    cpdef int error(self, size_t end) noexcept nogil
    @cython.locals(high="unsigned long long", low="unsigned long long", found=bint)
    cpdef bint reaches(self, size_t name) noexcept nogil
    cpdef bint arm(self) noexcept nogil
    cpdef void wake_keeper(self) noexcept nogil
    cpdef bint keeper_sleeps(self) noexcept nogil
    cpdef void keeper_is_awake(self) noexcept nogil
    @cython.locals(i="long long")
    cpdef bint soiled(self) noexcept nogil
    @cython.locals(found=bint)
    cpdef bint turn(self, long long now) noexcept nogil
    @cython.locals(i="long long", block=size_t, found=bint)
    cdef bint drain(self) noexcept nogil
    @cython.locals(summary="unsigned long long", soiled="unsigned long long", i="unsigned long long", far=size_t)
    cdef void drain_pair(self, size_t block, size_t area) noexcept nogil
    @cython.locals(at=size_t, whose=size_t, found=bint)
    cdef bint hear(self) noexcept nogil
    cpdef void pump(self, size_t at) noexcept nogil
    @cython.locals(at=size_t)
    cpdef size_t begin(self, size_t record, size_t far, unsigned long long flags) noexcept nogil
    cpdef void end(self, size_t at) noexcept nogil
    @cython.locals(due="long long")
    cpdef long long wait_until(self, long long now) noexcept nogil
    cpdef void listening(self, size_t record) noexcept nogil
    @cython.locals(r="long long")
    cpdef size_t accepted(self, size_t record) noexcept nogil
