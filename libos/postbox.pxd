cimport cython
from libos cimport ancillary, calls, layout, raw, relay, rings
from libos.net cimport host as hosts, octets, seq, structs, udp_user
from libos.net.structs cimport Datagram, Udp
from libos.net.udp cimport Sockets

cdef long long LONGEST
cdef unsigned long long IPV4, LINK_LOCAL
cdef int MSG_NAMELEN, MSG_IOV, MSG_IOVLEN, MSG_CONTROLLEN, MSG_FLAGS

@cython.locals(end=size_t, header=size_t, bell="unsigned long long")
cpdef void heard(size_t at) noexcept nogil
@cython.locals(header=size_t, fault=int, fresh=bint, news=bint, tail="unsigned long long")
cdef bint noted(Udp *u, size_t end) noexcept nogil
cpdef void emptied(size_t end) noexcept nogil
@cython.locals(u="Udp *", end=size_t, r="long long", queued="long long", own="unsigned int")
cpdef long long take(Sockets s, size_t at, size_t message, size_t address, unsigned long long size, int flags, size_t scratch) noexcept nogil
@cython.locals(r="unsigned int")
cpdef int error(Sockets s, size_t at) noexcept nogil
@cython.locals(d="Datagram *", length="long long", copied="long long", named="unsigned int", room="unsigned int", cut=int)
cdef long long handed(Udp *u, size_t at, unsigned int own, size_t message, size_t address, unsigned long long size, int flags, size_t scratch) noexcept nogil
@cython.locals(segment=size_t, last=size_t, done="long long", part="unsigned long long")
cdef long long scattered(size_t message, size_t at, long long length) noexcept nogil
@cython.locals(segment=size_t, last=size_t, done="long long", part="unsigned long long")
cpdef long long gathered(size_t message, size_t stage) noexcept nogil
cdef unsigned int write_name(Udp *u, Datagram *d, size_t at) noexcept nogil
@cython.locals(r="long long", high="unsigned long long", low="unsigned long long", port="unsigned int")
cpdef long long send(Sockets s, size_t at, size_t message, size_t address, long long size, size_t name, size_t stage) noexcept nogil
cdef bint to_ipv4(Udp *u, size_t name) noexcept nogil
@cython.locals(family="unsigned int")
cpdef bint readable(size_t name, unsigned int length) noexcept nogil
cpdef unsigned long long high_of(size_t name) noexcept nogil
cpdef unsigned long long low_of(size_t name) noexcept nogil
cpdef unsigned int port_of(size_t name) noexcept nogil
cpdef bint at_home(unsigned long long high, unsigned long long low) noexcept nogil
