cimport cython
from libos cimport raw
from libos.net cimport octets, routes, structs, udp_user
from libos.net.host cimport Host
from libos.net.outbox cimport Outbox
from libos.net.pool cimport Pool
from libos.net.stack cimport Stack
from libos.net.tape cimport Tape
from libos.net.tcp cimport closing, user
from libos.net.tcp.engine cimport Engine
from libos.net.udp cimport Sockets

cdef long long SECOND, ENOUGH
cdef unsigned int DONE
cdef int NO_ROOM
cdef unsigned long long LEFT

cdef class Recorder(Tape):
    cdef public Stack stack
    cdef public size_t at, end, stated
    cdef public long long stated_at
    cdef public bint going
    @cython.locals(at=size_t, r="long long")
    cdef long long call(self, unsigned int kind, unsigned long long a, unsigned long long b, unsigned long long c, unsigned long long d, unsigned long long e, unsigned long long f) noexcept nogil
    @cython.locals(source=size_t, at=size_t, n="unsigned long long", count="unsigned long long", size="unsigned long long")
    cdef size_t write(self, unsigned int kind, unsigned long long a, unsigned long long b, unsigned long long c, unsigned long long d, unsigned long long e, unsigned long long f) noexcept nogil
    cdef void answered(self, size_t at, long long r) noexcept nogil
    cdef void note(self, unsigned int kind, long long r) noexcept nogil
    cdef bint due(self) noexcept nogil
    @cython.locals(error=int)
    cdef bint room(self, unsigned long long size) noexcept nogil
    cdef int grow(self) noexcept nogil
    cdef void stop(self, int error) noexcept nogil
    cdef void close(self) noexcept nogil
cpdef unsigned long long check(size_t at, unsigned long long size) noexcept nogil
cpdef unsigned long long state(Stack s) noexcept nogil
@cython.locals(h="unsigned long long")
cdef unsigned long long memory(Pool pool, size_t left_out, size_t on) noexcept nogil
@cython.locals(h="unsigned long long")
cdef unsigned long long counters(Host host, Engine t, Sockets u, unsigned long long h) noexcept nogil
@cython.locals(h="unsigned long long")
cdef long long dropped(Outbox out, unsigned long long frames) noexcept nogil
cpdef long long perform(Stack s, unsigned int kind, unsigned long long a, unsigned long long b, unsigned long long c, unsigned long long d, unsigned long long e, unsigned long long f) noexcept nogil
cdef long long perform_udp(Sockets u, unsigned int kind, unsigned long long a, unsigned long long b, unsigned long long c, unsigned long long d, unsigned long long e, unsigned long long f) noexcept nogil
