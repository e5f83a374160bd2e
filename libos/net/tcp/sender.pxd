cimport cython
from libos.net cimport octets, output, ring, seq, structs
from libos.net.structs cimport Tcb
from libos.net.tcp cimport flight, timing, window
from libos.net.tcp.congestion cimport control
from libos.net.tcp.engine cimport Engine
from libos.net.wire cimport tcp_header

cdef long long payload_room(Tcb *c) noexcept nogil
@cython.locals(options="long long", to=size_t, ecn="unsigned int", urgent="unsigned int", blocks="unsigned int")
cdef bint emit(Engine t, Tcb *c, unsigned int start, long long length, unsigned int flags) noexcept nogil
cdef unsigned int sack_blocks(Tcb *c, long long length) noexcept nogil
cdef size_t write_sacks(Tcb *c, size_t to, unsigned int blocks) noexcept nogil
@cython.locals(first="unsigned int", n="unsigned int", i="unsigned int")
cdef size_t write_holes(Tcb *c, size_t to, unsigned int blocks) noexcept nogil
@cython.locals(passive=bint, flags="unsigned int", offered="long long", ack="unsigned int")
cdef bint emit_syn(Engine t, Tcb *c) noexcept nogil
cdef void acknowledge(Engine t, Tcb *c) noexcept nogil
@cython.locals(start="unsigned int", length="long long", room="long long", flags="unsigned int")
cdef bint retransmit(Engine t, Tcb *c, long long index) noexcept nogil
@cython.locals(n="long long", usable="long long", budget="long long", whole=bint)
cdef long long next_length(Engine t, Tcb *c) noexcept nogil
@cython.locals(room="long long", n="long long", mac="unsigned long long")
cdef long long several(Engine t, Tcb *c, long long left, long long usable, long long budget) noexcept nogil
@cython.locals(small=bint)
cdef bint held_back(Engine t, Tcb *c, long long n, long long left) noexcept nogil
@cython.locals(marks="unsigned int", flags="unsigned int", fin=bint, start="unsigned int", length="long long", part="long long")
cdef bint send_new(Engine t, Tcb *c, long long n) noexcept nogil
@cython.locals(n="long long", index="long long", sent=bint, first=bint, oldest=bint)
cdef void transmit(Engine t, Tcb *c) noexcept nogil
cdef bint may_send(Tcb *c) noexcept nogil
