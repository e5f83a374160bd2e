cimport cython
from libos cimport raw
from libos.net cimport linked, octets, ring, seq, structs
from libos.net.host cimport Host
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp.deadlines cimport Deadlines

@cython.final
cdef class Engine:
    cdef public Host host
    cdef public Deadlines deadlines
    cdef public size_t buckets, ports, listening
    cdef public long long bucket_count, connections, listeners
    cdef public size_t pending, events, time_waits
    cdef public long long challenges, challenges_at
    cdef public unsigned int congestion, ecn, port_low, port_high
    cdef public long long rx_limit, tx_limit, half_open_limit, time_wait_limit
    cdef public long long segments_in, segments_out, retransmitted, resets_out, cookies_out, bad_segments
    cdef size_t bucket(self, unsigned long long remote_high, unsigned long long remote_low, unsigned int remote_port, unsigned int local_port) noexcept nogil
    cdef Tcb *create(self) noexcept nogil
    cdef Tcb *facing(self, Packet *p) noexcept nogil
    cdef size_t bucket_of(self, Tcb *c) noexcept nogil
    cdef unsigned int secret(self, Tcb *c, unsigned int purpose) noexcept nogil
    cdef void destroy(self, Tcb *c) noexcept nogil
    cdef void enter(self, Tcb *c) noexcept nogil
    cdef void leave(self, Tcb *c) noexcept nogil
    cdef void rehash(self) noexcept nogil
    cpdef size_t find(self, unsigned long long local_high, unsigned long long local_low, unsigned int local_port, unsigned long long remote_high, unsigned long long remote_low, unsigned int remote_port) noexcept nogil
    @cython.locals(rank=int, best=int, chosen=size_t, order="unsigned long long", lot="unsigned long long")
    cdef size_t listener(self, Packet *p) noexcept nogil
    cdef void enter_port(self, Tcb *c) noexcept nogil
    cdef void leave_port(self, Tcb *c) noexcept nogil
    cdef size_t listener_list(self, unsigned int port) noexcept nogil
    cdef void enter_listeners(self, Tcb *c) noexcept nogil
    cdef void leave_listeners(self, Tcb *c) noexcept nogil
    cdef size_t port_list(self, unsigned int port) noexcept nogil
    cdef void pend(self, Tcb *c) noexcept nogil
    cdef void tell(self, Tcb *c) noexcept nogil
    cpdef size_t next_event(self) noexcept nogil
    @cython.locals(soonest="long long")
    cdef void arm(self, Tcb *c) noexcept nogil
    @cython.locals(now="long long", ms="unsigned int")
    cdef bint challenged(self, Tcb *c, Packet *p) noexcept nogil
cdef void sending_back(Engine t, Tcb *c) noexcept nogil
cdef void buffers_back(Engine t, Tcb *c) noexcept nogil
cdef long long SECOND
cdef unsigned int CHALLENGE_AGAIN
