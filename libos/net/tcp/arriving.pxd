cimport cython
from libos.net cimport seq, structs
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp cimport acking, closing, flight, opening, receiver, sender, timing, window
from libos.net.tcp.engine cimport Engine

cdef void segment(Engine t, Packet *p) noexcept nogil
cdef bint predicted(Engine t, Tcb *c, Packet *p) noexcept nogil
@cython.locals(newer=bint)
cdef void in_time_wait(Engine t, Tcb *c, Packet *p) noexcept nogil
@cython.locals(last=bint)
cdef void synchronised(Engine t, Tcb *c, Packet *p) noexcept nogil
@cython.locals(length="long long", wide="long long", end="unsigned int")
cdef bint acceptable(Tcb *c, Packet *p) noexcept nogil
cdef bint too_old(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef void take_timestamp(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef void unacceptable(Engine t, Tcb *c, Packet *p) noexcept nogil
@cython.locals(error=int)
cdef void reset_arrived(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef bint handshake_ends(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef long long PAWS_LIFE
