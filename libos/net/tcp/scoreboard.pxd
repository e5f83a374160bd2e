cimport cython
from libos.net cimport seq, structs
from libos.net.structs cimport Tcb
from libos.net.tcp cimport flight, rack
from libos.net.tcp.engine cimport Engine

@cython.locals(rtt="long long", delivered="long long", part="long long", again=bint)
cdef long long acknowledged(Engine t, Tcb *c, unsigned int ack) noexcept nogil
@cython.locals(delivered="long long", highest="unsigned int")
cdef long long selected(Engine t, Tcb *c, unsigned int left, unsigned int right) noexcept nogil
