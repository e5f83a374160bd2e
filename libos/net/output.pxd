cimport cython
from libos.net cimport host as hosts, neighbors, octets, routes, seq, structs
from libos.net.host cimport Host
from libos.net.structs cimport Tcb
from libos.net.wire cimport ethernet, ip_header

cdef bint prepare(Host host, Tcb *c) noexcept nogil
cdef size_t begin(Host host, Tcb *c) noexcept nogil
cdef void end(Host host, Tcb *c, size_t at, long long length, unsigned int ecn) noexcept nogil
cdef void dispatch(Host host, size_t frame, long long length, unsigned long long mac, unsigned long long high, unsigned long long low) noexcept nogil
@cython.locals(mac="unsigned long long")
cdef size_t begin_datagram(Host host, unsigned int protocol, unsigned long long source_high, unsigned long long source_low, unsigned long long target_high, unsigned long long target_low, unsigned int ttl, unsigned int traffic_class, long long length) noexcept nogil
cdef void end_datagram(Host host, long long length) noexcept nogil
cdef int datagram(Host host, unsigned int protocol, unsigned long long source_high, unsigned long long source_low, unsigned long long target_high, unsigned long long target_low, unsigned int ttl, unsigned int traffic_class, size_t payload, long long length) noexcept nogil
@cython.locals(piece="long long", ident="unsigned int", mac="unsigned long long", offset="long long", part="long long")
cdef int fragmented(Host host, unsigned int protocol, unsigned long long source_high, unsigned long long source_low, unsigned long long target_high, unsigned long long target_low, unsigned int ttl, unsigned int traffic_class, size_t payload, long long length) noexcept nogil
