cimport cython
from libos cimport calls, raw
from libos.net cimport host as hosts, octets, seq, structs, udp_user
from libos.net.structs cimport Datagram, Udp
from libos.net.udp cimport Sockets

cdef int MSG_CONTROL, MSG_CONTROLLEN, HEAD, CTRUNC, EIO, ENODEV, SOL_IP, SOL_UDP, SOL_IPV6
cdef int IP_TOS, IP_TTL, IP_PKTINFO, IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS, IPV6_FLOWINFO, IPV6_DONTFRAG
cdef unsigned long long IPV4
cdef unsigned int DEFAULT, INFO, TTL, TOS, INFO6, HOPS, CLASS

cdef class Here:
    cdef public unsigned int interface
    cdef public size_t at
    cdef public unsigned long long room, source_high, source_low
    cdef public int cut, hops, traffic_class

cdef Here HERE

cpdef unsigned int wanted(int level, int name) noexcept nogil
cdef unsigned int own(Sockets s, Datagram *d) noexcept nogil
@cython.locals(before="unsigned long long")
cdef int tell(Udp *u, Datagram *d, unsigned int own, size_t message, size_t scratch) noexcept nogil
@cython.locals(length="unsigned long long", space="unsigned long long")
cdef void put(int level, int kind, size_t data, unsigned int size) noexcept nogil
@cython.locals(at=size_t, end=size_t, length="unsigned long long", level="unsigned int", kind="unsigned int", r=int)
cdef int read(Sockets s, Udp *u, size_t message, bint ipv4) noexcept nogil
@cython.locals(source="unsigned long long", value="unsigned int")
cdef int read4(Sockets s, unsigned int kind, size_t at, unsigned long long size) noexcept nogil
@cython.locals(high="unsigned long long", low="unsigned long long", value="unsigned int")
cdef int read6(Sockets s, unsigned int kind, size_t at, unsigned long long size, bint ipv4) noexcept nogil
cdef int speak_from(Sockets s, unsigned int interface, unsigned long long high, unsigned long long low) noexcept nogil
@cython.locals(u="Udp *", r="long long", own_high="unsigned long long", own_low="unsigned long long", hops="unsigned int", group_hops="unsigned int", traffic_class="unsigned int")
cdef long long send(Sockets s, size_t at, size_t address, long long length, unsigned long long high, unsigned long long low, unsigned int port) noexcept nogil
