from libos.net cimport octets, seq
from libos.net.structs cimport Packet

cdef bint read(Packet *p, size_t frame, long long length) noexcept nogil
cpdef void write(size_t at, unsigned long long target, unsigned long long source, unsigned int kind) noexcept nogil
cpdef unsigned long long group(unsigned long long high, unsigned long long low) noexcept nogil
cdef unsigned long long EVERYBODY
