from libos.net cimport structs
from libos.net.structs cimport Tcb
from libos.net.tcp.congestion cimport cubic, newreno, vegas

cdef void start(Tcb *c) noexcept nogil
cdef void restart(Tcb *c) noexcept nogil
cdef void acked(Tcb *c, long long octets, long long now) noexcept nogil
cdef long long lost(Tcb *c, long long now) noexcept nogil
cdef void measured(Tcb *c, long long rtt) noexcept nogil
cdef long long initial(Tcb *c) noexcept nogil
cdef long long FOREVER
