cimport cython
from libos.net cimport linked, output, seq, structs
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp cimport engine, flight, sender
from libos.net.tcp.engine cimport Engine
from libos.net.wire cimport tcp_header

cdef void refuse(Engine t, Packet *p) noexcept nogil
cdef void reset(Engine t, Tcb *c) noexcept nogil
cdef void send_reset(Engine t, Tcb *c, unsigned int start, unsigned int ack, unsigned int flags) noexcept nogil
cdef void time_wait(Engine t, Tcb *c) noexcept nogil
@cython.locals(half_open=bint)
cdef void closed(Engine t, Tcb *c, unsigned int error) noexcept nogil
cdef void fin_received(Engine t, Tcb *c) noexcept nogil
cdef void fin_acknowledged(Engine t, Tcb *c) noexcept nogil
cdef bint fin_is_acknowledged(Tcb *c) noexcept nogil
cdef void shut(Engine t, Tcb *c) noexcept nogil
cdef void abort(Engine t, Tcb *c) noexcept nogil
cdef void drop_children(Engine t, Tcb *c) noexcept nogil
@cython.locals(lingers=bint)
cdef void close(Engine t, Tcb *c) noexcept nogil
@cython.locals(i="long long")
cpdef bint unanswered(Engine t) noexcept nogil
@cython.locals(i="long long")
cpdef void give_up(Engine t) noexcept nogil
cdef long long TIME_WAIT_LIFE, FIN_WAIT_LIFE
