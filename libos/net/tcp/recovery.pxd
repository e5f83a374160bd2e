cimport cython
from libos.net cimport seq, structs
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp cimport flight, rack
from libos.net.tcp.congestion cimport control
from libos.net.tcp.engine cimport Engine

cdef void advance(Engine t, Tcb *c, bint moved, bint dup, long long acked, long long delivered) noexcept nogil
@cython.locals(steps="long long")
cdef void count_duplicates(Engine t, Tcb *c, bint moved, bint dup, long long acked) noexcept nogil
@cython.locals(waiting="long long")
cdef void enter(Engine t, Tcb *c, long long delivered) noexcept nogil
cdef void leave(Tcb *c) noexcept nogil
@cython.locals(pipe="long long", count="long long", limit="long long")
cdef void proportional(Tcb *c, long long delivered, bint moved) noexcept nogil
cdef void timed_out(Engine t, Tcb *c) noexcept nogil
cdef void marked(Engine t, Tcb *c) noexcept nogil
cdef void probe_answered(Engine t, Tcb *c, Packet *p) noexcept nogil
