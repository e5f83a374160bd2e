cimport cython
from libos.net cimport octets, seq, structs
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp cimport agreement, sender, timing
from libos.net.tcp.engine cimport Engine

cdef unsigned int minute(Engine t) noexcept nogil
cdef unsigned int code(Engine t, Packet *p, unsigned int client, unsigned int when, unsigned int index) noexcept nogil
cdef unsigned int size(unsigned int index) noexcept nogil
@cython.locals(index="unsigned int", stamp="unsigned int", carried="unsigned int")
cdef void answer(Engine t, Tcb *listener, Packet *p) noexcept nogil
cdef bint recent(Engine t, Tcb *listener) noexcept nogil
@cython.locals(value="unsigned int", index="unsigned int", when="unsigned int", age="unsigned int")
cdef unsigned int check(Engine t, Packet *p) noexcept nogil
@cython.locals(echo="unsigned int")
cdef void options(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef long long MINUTE
