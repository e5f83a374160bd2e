from libos.net cimport linked, ring, seq, structs
from libos.net.structs cimport Tcb
from libos.net.tcp cimport closing, flight, rack, recovery, rto, sender, timing
from libos.net.tcp.engine cimport Engine

cdef void poll(Engine t) noexcept nogil
cdef void flush(Engine t) noexcept nogil
cdef bint due(Engine t, Tcb *c) noexcept nogil
cdef bint retransmission(Engine t, Tcb *c) noexcept nogil
cdef void tail_probe(Engine t, Tcb *c) noexcept nogil
cdef bint give_up(Engine t, Tcb *c) noexcept nogil
cdef bint keep_alive(Engine t, Tcb *c) noexcept nogil
cdef void persist(Engine t, Tcb *c) noexcept nogil
cdef void trim(Engine t, Tcb *c) noexcept nogil
cpdef long long next_deadline(Engine t) noexcept nogil
cdef int SYN_TRIES, SYN_ACK_TRIES, TRIES, ORPHAN_TRIES
