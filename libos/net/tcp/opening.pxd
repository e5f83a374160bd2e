cimport cython
from libos.net cimport linked, output, seq, structs
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp cimport agreement, closing, cookies, flight, receiver, rto, scoreboard, sender, timing
from libos.net.tcp.congestion cimport control
from libos.net.tcp.engine cimport Engine

cdef unsigned int initial_sequence(Engine t, Tcb *c) noexcept nogil
cdef void start(Engine t, Tcb *c) noexcept nogil
cdef bint send_syn(Engine t, Tcb *c) noexcept nogil
cdef void established(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef Tcb *child(Engine t, Tcb *listener, Packet *p) noexcept nogil
cdef void to_listener(Engine t, Tcb *listener, Packet *p) noexcept nogil
cdef void syn_to_listener(Engine t, Tcb *listener, Packet *p) noexcept nogil
cdef void cookie_to_listener(Engine t, Tcb *listener, Packet *p) noexcept nogil
cdef bint queue(Engine t, Tcb *c) noexcept nogil
@cython.locals(asked=bint)
cdef void in_syn_sent(Engine t, Tcb *c, Packet *p) noexcept nogil
