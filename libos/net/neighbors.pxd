cimport cython
from libos.net cimport host as hosts, octets, seq, structs
from libos.net.host cimport Host
from libos.net.structs cimport Neighbor, Packet
from libos.net.wire cimport arp_packet, ethernet, icmp_message, ip_header

cdef Neighbor *entry(Host host, unsigned long long high, unsigned long long low, bint make) noexcept nogil
cdef unsigned long long lookup(Host host, unsigned long long high, unsigned long long low) noexcept nogil
cdef void hold(Host host, unsigned long long high, unsigned long long low, size_t frame, long long length) noexcept nogil
cpdef bint anything_held(Host host) noexcept nogil
cdef void ask(Host host, Neighbor *n, bint everybody) noexcept nogil
cdef void solicit(Host host, Neighbor *n, bint everybody) noexcept nogil
cdef void learn(Host host, unsigned long long high, unsigned long long low, unsigned long long mac, bint make, bint confirmed) noexcept nogil
cdef void drop_oldest(Host host, Neighbor *n) noexcept nogil
cdef void release(Host host, Neighbor *n) noexcept nogil
cdef void forget(Host host, Neighbor *n) noexcept nogil
@cython.locals(for_us=bint)
cdef void arp(Host host, Packet *p) noexcept nogil
cdef bint discovery(Host host, Packet *p) noexcept nogil
cpdef void announce(Host host) noexcept nogil
cdef void advertised(Host host, size_t at, unsigned long long high, unsigned long long low, unsigned int flags, unsigned long long target_high, unsigned long long target_low) noexcept nogil
cdef void advertise(Host host, Packet *p, unsigned long long target_high, unsigned long long target_low) noexcept nogil
cdef void wake(Host host, Neighbor *n, long long until) noexcept nogil
cdef size_t poll(Host host) noexcept nogil
cdef size_t step(Host host, Neighbor *n) noexcept nogil
cpdef long long next_deadline(Host host) noexcept nogil
cdef long long RETRANSMIT, REACHABLE_TIME, PROBE_DELAY
cdef unsigned int TRIES
