cimport cython
from libos.net cimport ring, seq, structs
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp cimport flight, rack, recovery, scoreboard, sender, timing, window
from libos.net.tcp.congestion cimport control
from libos.net.tcp.engine cimport Engine

@cython.locals(ack="unsigned int", delivered="long long", acked="long long", before="long long", dup=bint, moved=bint, open=bint)
cdef bint acknowledgment(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef void free_acked(Engine t, Tcb *c, unsigned int ack) noexcept nogil
@cython.locals(delivered="long long", left="unsigned int", right="unsigned int", i="unsigned int")
cdef long long blocks(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef void room_made(Engine t, Tcb *c) noexcept nogil
