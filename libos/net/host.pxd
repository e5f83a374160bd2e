cimport cython
from libos.net cimport octets, seq, structs
from libos.net.outbox cimport Outbox
from libos.net.pool cimport Pool
from libos.net.tape cimport Tape

@cython.final
cdef class Host:
    cdef public Tape tape
    cdef public Pool pool
    cdef public Outbox out, loop
    cdef public long long now, mtu, cut
    cdef public unsigned long long mac, key0, key1, drawn
    cdef public size_t addresses_at, routes_at, paths_at, neighbors_at, packet_at, quoted_at, fragments_at, scratch_at, frame_at
    cdef public long long address_count, route_count
    cdef public unsigned int generation, ident
    cdef public bint trust_checksums, leave_checksums
    cdef public unsigned long long hop_high, hop_low, from_high, from_low, frame_mac
    cdef public long long hop_mtu, frame_header
    cdef public long long tokens, tokens_at, neighbors_due, fragments_at_time
    cdef public long long frames_in, frames_out, refused, unreachable
    cpdef unsigned long long random(self) noexcept nogil
    cdef unsigned long long mix(self, unsigned long long a, unsigned long long b, unsigned long long c) noexcept nogil
    cdef bint full(self) noexcept nogil
    cpdef bint mine(self, unsigned long long high, unsigned long long low) noexcept nogil
    @cython.locals(local=bint, rank=int, best=int, found=bint)
    cpdef bint source_for(self, unsigned long long high, unsigned long long low) noexcept nogil
    cdef bint allowed(self) noexcept nogil
    cpdef void changed(self, size_t at, long long size) noexcept nogil
    @cython.locals(rest="unsigned long long")
    cdef bint broadcasts(self, unsigned long long high, unsigned long long low) noexcept nogil
cdef bint within(unsigned long long high, unsigned long long low, unsigned long long net_high, unsigned long long net_low, unsigned int prefix) noexcept nogil
cdef bint is4(unsigned long long high, unsigned long long low) noexcept nogil
cdef bint is_multicast(unsigned long long high, unsigned long long low) noexcept nogil
cdef long long BURST
cdef bint is_loopback(unsigned long long high, unsigned long long low) noexcept nogil
