cimport cython
from libos cimport raw
from libos.net cimport groups, host as hosts, linked, octets, output, routes, seq, structs, udp
from libos.net.structs cimport Udp
from libos.net.udp cimport Sockets
from libos.net.wire cimport ip_header

cdef void write_header(size_t at, unsigned int source_port, unsigned int target_port, long long length) noexcept nogil
cpdef size_t open(Sockets s, unsigned int family) noexcept nogil
cdef bint conflict(Sockets s, Udp *u, unsigned int port) noexcept nogil
@cython.locals(span="unsigned int", offset="unsigned int", i="unsigned int")
cdef unsigned int ephemeral(Sockets s, Udp *u) noexcept nogil
cpdef int bind(Sockets s, size_t at, unsigned long long high, unsigned long long low, unsigned int port) noexcept nogil
cpdef int connect(Sockets s, size_t at, unsigned long long high, unsigned long long low, unsigned int port) noexcept nogil
cpdef int disconnect(Sockets s, size_t at) noexcept nogil
cpdef long long send(Sockets s, size_t at, size_t address, long long length, unsigned long long high, unsigned long long low, unsigned int port) noexcept nogil
@cython.locals(ttl="unsigned int", sum="unsigned int", group=bint)
cdef long long send_from(Sockets s, Udp *u, size_t address, long long length, unsigned long long source_high, unsigned long long source_low, unsigned long long high, unsigned long long low, unsigned int port) noexcept nogil
cpdef size_t first(Sockets s, size_t at) noexcept nogil
cpdef size_t payload(Sockets s, size_t datagram) noexcept nogil
cpdef void pop(Sockets s, size_t at) noexcept nogil
cpdef long long receive_into(Sockets s, size_t at, size_t address, long long size) noexcept nogil
cpdef int join(Sockets s, size_t at, unsigned long long high, unsigned long long low) noexcept nogil
cpdef int leave(Sockets s, size_t at, unsigned long long high, unsigned long long low) noexcept nogil
cpdef void close(Sockets s, size_t at) noexcept nogil
cdef void to_ourselves(Sockets s, Udp *u, size_t at, long long length, unsigned long long source_high, unsigned long long source_low, unsigned long long high, unsigned long long low) noexcept nogil
cpdef unsigned int ready(Sockets s, size_t at) noexcept nogil
cpdef unsigned int take_error(Sockets s, size_t at) noexcept nogil
