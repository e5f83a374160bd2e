cimport cython
from libos.net cimport neighbors, octets, output, routes, seq, structs
from libos.net.host cimport Host
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp cimport arriving, timers, user
from libos.net.tcp.engine cimport Engine
from libos.net.wire cimport ethernet, ip_header, tcp_header

@cython.final
cdef class Stack:
    cdef public Host host
    cdef public Engine tcp
    cpdef void receive(self, size_t frame, long long length, long long now) noexcept nogil
    @cython.locals(ours=bint)
    cdef void internet(self, Packet *p) noexcept nogil
    cdef void transport(self, Packet *p) noexcept nogil
    cdef void segment(self, Packet *p) noexcept nogil
    @cython.locals(turns=int)
    cpdef void poll(self, long long now) noexcept nogil
    cdef void loop_back(self) noexcept nogil
    cpdef long long next_deadline(self) noexcept nogil
