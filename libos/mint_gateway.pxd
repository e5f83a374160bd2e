cimport cython
from libos cimport calls, layout, mint_relay, raw, rings
from libos.belled_fabric cimport BelledFabric
from libos.carrier cimport Carrier
from libos.catmint cimport Catmint
from libos.fabric cimport structs
from libos.fabric.machine cimport Machine
from libos.fabric.structs cimport Connection
from libos.runtime.memory cimport Heap

cdef long long STAGE, NEVER, PATIENCE, OWED, AGAIN, ROUSE, GLANCE

@cython.final
cdef class MintGateway(Carrier):
    cdef public Catmint catmint
    cdef public Machine machine
    cdef public BelledFabric bells
    cdef public Heap heap
    cdef public size_t room, result, files
    cdef public unsigned long long sleeper, past, bell
    cdef public long long roused_at, owed_at, suspect_at, heard, patient_until
    cpdef bint turn(self, long long now) noexcept nogil
    @cython.locals(found=bint)
    cdef bint move_all(self, long long now) noexcept nogil
    cdef bint asleep(self, unsigned long long bell) noexcept nogil
    cpdef void carry(self) noexcept nogil
    cpdef void rest(self, unsigned long long bell) noexcept nogil
    @cython.locals(at=size_t, c="Connection *", found=bint)
    cpdef bint hear(self) noexcept nogil
    @cython.locals(room=size_t)
    cdef void let_go(self, size_t at) noexcept nogil
    @cython.locals(at=size_t)
    cpdef void carried(self, size_t relay) noexcept nogil
    @cython.locals(r=int, came=bint, right=bint)
    cdef void inward(self, size_t relay, size_t at) noexcept nogil
    @cython.locals(length="long long")
    cdef void outward(self, size_t relay, size_t at) noexcept nogil
    cdef void part(self, size_t relay, size_t at) noexcept nogil
    @cython.locals(i="long long", relay=size_t)
    cdef void repay(self) noexcept nogil
    @cython.locals(i="long long", relay=size_t)
    cdef void look_at_suspects(self, long long now) noexcept nogil
    @cython.locals(due="long long")
    cdef long long deadline(self, long long now) noexcept nogil
    cpdef bint arm(self) noexcept nogil
    cdef void disarm(self) noexcept nogil
    @cython.locals(due="long long")
    cpdef void remind(self) noexcept nogil
    @cython.locals(due="long long")
    cpdef long long wait_until(self, long long now) noexcept nogil
    @cython.locals(r=bint, now="long long")
    cpdef bint depart(self, size_t at, bint reset) noexcept nogil
    @cython.locals(i="long long", relay=size_t)
    cdef bint undelivered(self) noexcept nogil
    cpdef int opened(self, size_t at) noexcept nogil
    cpdef void bind(self, size_t at, size_t relay) noexcept nogil
    @cython.locals(at=size_t)
    cpdef void finish(self) noexcept nogil
