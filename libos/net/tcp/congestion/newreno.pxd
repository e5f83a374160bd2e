from libos.net.structs cimport Tcb

cdef void acked(Tcb *c, long long octets, long long now) noexcept nogil
cdef long long lost(Tcb *c, long long now) noexcept nogil
