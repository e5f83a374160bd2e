cimport cython
from libos.net cimport host as hosts, neighbors, octets, output, routes, seq, structs
from libos.net.host cimport Host
from libos.net.structs cimport Packet
from libos.net.wire cimport icmp_message

cdef int arrives(Host host, Packet *p) noexcept nogil
cdef void echo(Host host, Packet *p, unsigned int reply) noexcept nogil
cdef size_t begin(Host host, Packet *p, unsigned int protocol, unsigned int traffic_class, long long length) noexcept nogil
cdef void end(Host host, Packet *p, unsigned int protocol, size_t at, long long length) noexcept nogil
cdef int error4(unsigned int kind, unsigned int code) noexcept nogil
cdef int error6(unsigned int kind, unsigned int code) noexcept nogil
@cython.locals(mtu="unsigned int", kind="unsigned int", code="unsigned int", what=int)
cdef int error(Host host, Packet *p) noexcept nogil
@cython.locals(protocol="unsigned int", most="long long", size="long long")
cdef void send_error(Host host, Packet *p, unsigned int kind, unsigned int code, unsigned int extra) noexcept nogil
cdef void port_unreachable(Host host, Packet *p) noexcept nogil
cdef void protocol_unreachable(Host host, Packet *p) noexcept nogil
cdef int HARD, MTU
