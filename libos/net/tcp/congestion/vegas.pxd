from libos.net.structs cimport Tcb

cdef void start(Tcb *c) noexcept nogil
cdef void acked(Tcb *c, long long octets, long long now) noexcept nogil
cdef void measured(Tcb *c, long long rtt) noexcept nogil
