cimport cython
from libos.net cimport host as hosts, neighbors, octets, routes, seq, structs
from libos.net.host cimport Host
from libos.net.structs cimport Tcb
from libos.net.wire cimport ethernet, ip_header

cdef bint prepare(Host host, Tcb *c) noexcept nogil
cdef size_t begin(Host host, Tcb *c) noexcept nogil
cdef void end(Host host, Tcb *c, size_t at, long long length, unsigned int ecn) noexcept nogil
@cython.locals(header="long long", size="long long")
cdef long long segments(Tcb *c, size_t at, long long length) noexcept nogil
cdef void dispatch(Host host, size_t frame, long long length, unsigned long long mac, unsigned long long high, unsigned long long low) noexcept nogil
@cython.locals(mac="unsigned long long", four=bint, header="long long", piece="long long")
cdef size_t begin_datagram(Host host, unsigned int protocol, unsigned long long source_high, unsigned long long source_low, unsigned long long target_high, unsigned long long target_low, unsigned int ttl, unsigned int traffic_class, long long length) noexcept nogil
cdef void end_datagram(Host host, long long length) noexcept nogil
cdef long long fragment_size(Host host, bint four) noexcept nogil
@cython.locals(piece="long long", header="long long", ident="unsigned int", offset="long long", part="long long", more="long long", four=bint)
cdef void fragmented(Host host, long long length) noexcept nogil
cdef long long LONGEST
