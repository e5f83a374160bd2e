from libos.net cimport octets, structs
from libos.net.structs cimport Packet

cdef bint read(Packet *p) noexcept nogil
cdef unsigned int operation(Packet *p) noexcept nogil
cdef unsigned int sender_ip(Packet *p) noexcept nogil
cdef unsigned int target_ip(Packet *p) noexcept nogil
cdef unsigned long long sender_mac(Packet *p) noexcept nogil
cpdef long long write(size_t at, unsigned int operation, unsigned long long sender_mac, unsigned int sender, unsigned long long target_mac, unsigned int target) noexcept nogil
