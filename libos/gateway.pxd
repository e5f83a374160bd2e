cimport cython
from libos cimport calls, endpoint, layout, letters, postbox, raw, relay
from libos.carrier cimport Carrier
from libos.catnip cimport Catnip
from libos.net cimport neighbors, routes, seq, structs
from libos.net.tcp cimport closing, user
from libos.net.tcp.engine cimport Engine
from libos.net.udp cimport Sockets

cdef unsigned long long LISTENING
cdef long long NEVER, PATIENCE
cdef int MANY

@cython.final
cdef class Gateway(Carrier):
    cdef public Catnip catnip
    cdef public Engine tcp
    cdef public Sockets udp
    cdef public size_t bell_at
    cdef public long long heard, patient_until
    @cython.locals(due="long long")
    cpdef void remind(self) noexcept nogil
    @cython.locals(r=bint, now="long long")
    cpdef bint depart(self, size_t at, bint reset) noexcept nogil
    cpdef bint pass_on(self) noexcept nogil
    @cython.locals(tries=int)
    cpdef void finish(self) noexcept nogil
    @cython.locals(r="long long")
    cpdef long long receive(self, size_t end, size_t message, size_t address, unsigned long long size, int flags) noexcept nogil
    @cython.locals(at=size_t, r="long long", now="long long")
    cpdef long long send(self, size_t end, size_t message, size_t address, long long size, size_t name) noexcept nogil
    cpdef int error(self, size_t end) noexcept nogil
    @cython.locals(post="unsigned long long")
    cdef size_t posted(self, size_t end) noexcept nogil
    cpdef void shared(self, size_t end) noexcept nogil
    cpdef void deliver(self, size_t at) noexcept nogil
    @cython.locals(r="long long", count=int, tries=int)
    cpdef long long collect(self, size_t at, int fd) noexcept nogil
    @cython.locals(high="unsigned long long", low="unsigned long long", found=bint)
    cpdef bint reaches(self, size_t name) noexcept nogil
    cpdef bint arm(self) noexcept nogil
    @cython.locals(found=bint)
    cpdef bint turn(self, long long now) noexcept nogil
    @cython.locals(at=size_t, whose=size_t, found=bint)
    cdef bint hear(self) noexcept nogil
    cpdef void carried(self, size_t at) noexcept nogil
    @cython.locals(due="long long")
    cpdef long long wait_until(self, long long now) noexcept nogil
    cpdef void listening(self, size_t record) noexcept nogil
    @cython.locals(r="long long")
    cpdef size_t accepted(self, size_t record) noexcept nogil
