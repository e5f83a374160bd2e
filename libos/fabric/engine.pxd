cimport cython
from libos cimport raw
from libos.fabric cimport structs
from libos.fabric.buffers cimport Buffers
from libos.fabric.fabric cimport Fabric
from libos.fabric.receives cimport Receives
from libos.fabric.regions cimport Regions
from libos.fabric.slots cimport Slots
from libos.fabric.structs cimport Connection, Item, Peer
from libos.net cimport linked, octets, structs as lists

@cython.final
cdef class Engine:
    cdef public Fabric fabric
    cdef public Buffers buffers
    cdef public Regions regions
    cdef public Receives receives
    cdef public Slots connections, items, sends
    cdef public long long eager, window, largest, patience, at_once
    cdef public bint quiet
    cdef public size_t mailboxes, peers, listening, work, calls, events, opening, scratch, pieces, address, ready, stuck
    cdef public long long address_length, region, calls_out, peers_seen, now, beats_at, retry_at
    cdef public unsigned long long key0, key1, drawn
    cdef public long long received, sent, read, reported, strays, refused, broken
    cdef unsigned long long random(self) noexcept nogil
    cdef Connection *create(self) noexcept nogil
    cdef Connection *find(self, unsigned int number, unsigned long long token) noexcept nogil
    cdef void pend(self, Connection *c) noexcept nogil
    cdef void tell(self, Connection *c) noexcept nogil
    cdef Peer *peer(self, long long number) noexcept nogil
    cdef void hold(self, Connection *c, long long number) noexcept nogil
    cdef void let_go(self, Connection *c) noexcept nogil
    cdef void unheld(self, long long number) noexcept nogil
    cdef size_t outgoing(self) noexcept nogil
    cdef void sent_away(self, Item *i) noexcept nogil
    cdef void headed(self, Connection *c, size_t at, unsigned int kind, unsigned int flags, unsigned int answers, unsigned int length) noexcept nogil
    @cython.locals(count="long long")
    cdef bint launch(self, Connection *c, Item *i, unsigned int kind, unsigned int flags, unsigned int answers, unsigned int length) noexcept nogil
    cdef size_t request(self, Connection *c, unsigned int kind) noexcept nogil
