cimport cython
from libos cimport raw
from libos.net cimport octets, seq, structs
from libos.net.structs cimport Tcb
from libos.net.tcp cimport closing
from libos.net.tcp.engine cimport Engine

@cython.locals(same=bint)
cdef bint conflict(Engine t, Tcb *c, unsigned int port) noexcept nogil
@cython.locals(any_c=bint, any_d=bint)
cdef bint overlap(Tcb *c, Tcb *d) noexcept nogil
@cython.locals(span="unsigned int", offset="unsigned int", port="unsigned int", i="unsigned int")
cdef unsigned int ephemeral(Engine t, Tcb *c, bint connecting) noexcept nogil
cdef bint asked_for(Engine t, Tcb *c, unsigned int port) noexcept nogil
cdef bint clear_way(Engine t, Tcb *c, unsigned int port) noexcept nogil
