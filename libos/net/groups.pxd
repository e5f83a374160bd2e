from libos.net cimport host as hosts, octets, seq, structs
from libos.net.host cimport Host
from libos.net.wire cimport ethernet, icmp_message, ip_header

cdef void report(Host host, unsigned long long high, unsigned long long low, unsigned int kind) noexcept nogil
cdef void report4(Host host, size_t at, unsigned int group, unsigned int kind) noexcept nogil
cdef void report6(Host host, size_t at, unsigned long long high, unsigned long long low, unsigned int kind) noexcept nogil
cdef unsigned long long IGMP_ROUTERS
