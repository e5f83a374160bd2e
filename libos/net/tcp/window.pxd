from libos.net cimport seq
from libos.net.structs cimport Tcb
from libos.net.tcp.engine cimport Engine

cdef unsigned int our_mss(Engine t, Tcb *c) noexcept nogil
cdef unsigned int our_scale(Tcb *c) noexcept nogil
cdef long long free_room(Tcb *c) noexcept nogil
cdef long long worthwhile(Tcb *c) noexcept nogil
cdef unsigned int offered(Tcb *c) noexcept nogil
cdef long long current(Tcb *c) noexcept nogil
cdef void update(Engine t, Tcb *c, unsigned int start, unsigned int ack, long long size) noexcept nogil
