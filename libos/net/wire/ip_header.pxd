cimport cython
from libos.net cimport octets, seq, structs
from libos.net.structs cimport Packet

@cython.locals(total="unsigned long long")
cpdef unsigned int pseudo(unsigned long long source_high, unsigned long long source_low, unsigned long long target_high, unsigned long long target_low, unsigned int protocol, long long length) noexcept nogil
cdef bint read4(Packet *p, bint trust) noexcept nogil
cdef unsigned int traffic_class(Packet *p) noexcept nogil
cdef bint options4(size_t at, long long length) noexcept nogil
cpdef void write4(size_t at, long long length, unsigned int traffic_class, unsigned int ident, unsigned int fragment, unsigned int ttl, unsigned int protocol, unsigned int source, unsigned int target) noexcept nogil
cdef bint read6(Packet *p) noexcept nogil
@cython.locals(size="long long")
cdef bint extensions(Packet *p, unsigned int kind, size_t at, size_t end) noexcept nogil
cdef bint options6(Packet *p, size_t at, size_t end) noexcept nogil
cpdef void write6(size_t at, long long length, unsigned int traffic_class, unsigned int flow, unsigned int hop_limit, unsigned int protocol, unsigned long long source_high, unsigned long long source_low, unsigned long long target_high, unsigned long long target_low) noexcept nogil
cdef unsigned long long MAPPED
cdef void fragment4(size_t at, unsigned int length, unsigned int fragment) noexcept nogil
cdef size_t fragment6(size_t at, unsigned int length, unsigned int fragment, unsigned int ident) noexcept nogil
