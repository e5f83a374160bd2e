from libos.net cimport seq
from libos.net.structs cimport Tcb
from libos.net.tcp cimport flight

cdef void start(Tcb *c) noexcept nogil
cdef void acked(Tcb *c, long long octets, long long now) noexcept nogil
cdef long long lost(Tcb *c, long long now) noexcept nogil
cdef long long cube_root(long long n) noexcept nogil
cdef void begin_epoch(Tcb *c, long long now) noexcept nogil
