from libos.net cimport octets, structs
from libos.net.structs cimport Packet

cdef bint read(Packet *p) noexcept nogil
cdef void options(Packet *p, size_t at, size_t end) noexcept nogil
cpdef void write(size_t at, unsigned int source_port, unsigned int target_port, unsigned int seq, unsigned int ack, unsigned int flags, unsigned int window, unsigned int urgent, long long header_length) noexcept nogil
cpdef size_t write_timestamp(size_t at, unsigned int value, unsigned int echo) noexcept nogil
cpdef size_t write_mss(size_t at, unsigned int mss) noexcept nogil
cpdef size_t write_scale(size_t at, unsigned int scale) noexcept nogil
cpdef size_t write_sack_permitted(size_t at) noexcept nogil
