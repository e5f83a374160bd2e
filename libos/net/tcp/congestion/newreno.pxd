from libos.net.structs cimport Tcb
from libos.net.tcp cimport flight

cdef void acked(Tcb *c, long long octets, long long now) noexcept nogil
cdef long long lost(Tcb *c, long long now) noexcept nogil
