cimport cython
from libos.net cimport octets, seq, structs
from libos.net.structs cimport Packet
from libos.net.wire cimport ip_header

cpdef unsigned long long node_group(unsigned long long low) noexcept nogil
cpdef unsigned long long link_scope() noexcept nogil
cpdef void write_neighbor(size_t at, unsigned int kind, unsigned int flags, unsigned long long high, unsigned long long low, unsigned int option, unsigned long long mac) noexcept nogil
cpdef unsigned long long link_address(size_t at, size_t end, unsigned int kind) noexcept nogil
cpdef void seal(size_t at, long long length, unsigned long long source_high, unsigned long long source_low, unsigned long long target_high, unsigned long long target_low, unsigned int protocol) noexcept nogil
cpdef bint sound(size_t at, long long length, unsigned long long source_high, unsigned long long source_low, unsigned long long target_high, unsigned long long target_low, unsigned int protocol) noexcept nogil
@cython.locals(header="long long")
cdef bint read_quoted(Packet *q, size_t at, long long length) noexcept nogil
