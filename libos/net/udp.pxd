cimport cython
from libos cimport raw
from libos.net cimport groups, host as hosts, icmp, linked, octets, structs
from libos.net.host cimport Host
from libos.net.structs cimport Packet, Udp
from libos.net.wire cimport ip_header

@cython.final
cdef class Sockets:
    cdef public Host host
    cdef public size_t ports, events
    cdef public unsigned int port_low, port_high
    cdef public long long received, sent, dropped, bad, limit
    cdef size_t port_list(self, unsigned int port) noexcept nogil
    @cython.locals(length="long long", sum="unsigned int", delivered=bint)
    cdef void arrives(self, Packet *p) noexcept nogil
    @cython.locals(best=int, rank=int, chosen=size_t)
    cdef size_t find(self, unsigned int port, Packet *p) noexcept nogil
    cdef unsigned long long lot(self, size_t at, Packet *p) noexcept nogil
    cdef int match(self, Udp *u, Packet *p) noexcept nogil
    @cython.locals(all=bint, delivered=bint)
    cdef bint to_members(self, Packet *p) noexcept nogil
    cdef bint deliver(self, Udp *u, Packet *p) noexcept nogil
    cdef void error(self, Packet *q, unsigned int what, bint hard) noexcept nogil
    cdef void tell(self, Udp *u) noexcept nogil
    cpdef size_t next_event(self) noexcept nogil
    cdef void report_groups(self, unsigned int family) noexcept nogil
    cpdef bint member(self, unsigned long long high, unsigned long long low) noexcept nogil
cdef bint joined(Udp *u, unsigned long long high, unsigned long long low) noexcept nogil
cdef int group_index(Udp *u, unsigned long long high, unsigned long long low) noexcept nogil
