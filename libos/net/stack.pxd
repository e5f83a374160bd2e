cimport cython
from libos.net cimport fragments, host as hosts, icmp, neighbors, octets, routes, seq, structs
from libos.net.host cimport Host
from libos.net.structs cimport Packet
from libos.net.tcp cimport arriving, reported, timers
from libos.net.tcp.engine cimport Engine
from libos.net.udp cimport Sockets
from libos.net.wire cimport ethernet, icmp_message, ip_header, tcp_header

@cython.final
cdef class Stack:
    cdef public Host host
    cdef public Engine tcp
    cdef public Sockets udp
    cdef public bint looping
    cpdef void receive(self, size_t frame, long long length, long long now) noexcept nogil
    @cython.locals(ours=bint)
    cdef void internet(self, Packet *p) noexcept nogil
    cdef void controlled(self, Packet *p) noexcept nogil
    cdef bint heard(self, Packet *p) noexcept nogil
    @cython.locals(hard=bint)
    cdef void reported(self, int what) noexcept nogil
    cdef void undelivered(self, size_t at) noexcept nogil
    cdef void segment(self, Packet *p) noexcept nogil
    @cython.locals(turns=int)
    cpdef void poll(self, long long now) noexcept nogil
    @cython.locals(due="long long")
    cdef bint idle(self) noexcept nogil
    @cython.locals(trusting=bint)
    cdef void loop_back(self) noexcept nogil
    cpdef long long next_deadline(self) noexcept nogil
