from libos.net.structs cimport Tcb
from libos.net.tcp.congestion cimport control

cdef void measured(Tcb *c, long long rtt) noexcept nogil
cdef long long backed_off(Tcb *c) noexcept nogil
cdef long long MINIMUM, MAXIMUM, INITIAL
