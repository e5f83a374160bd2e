from libos.net cimport seq, structs
from libos.net.structs cimport Tcb
from libos.net.tcp cimport flight, rto
from libos.net.tcp.engine cimport Engine

cdef void begin(Engine t, Tcb *c) noexcept nogil
cdef unsigned int stamp(Engine t, Tcb *c) noexcept nogil
cdef void set_retransmission(Engine t, Tcb *c, bint restart) noexcept nogil
cdef long long probe_time(Tcb *c) noexcept nogil
cdef void keep(Engine t, Tcb *c) noexcept nogil
cdef long long DELAYED_ACK
