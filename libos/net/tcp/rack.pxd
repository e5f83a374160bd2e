cimport cython
from libos.net cimport seq, structs
from libos.net.structs cimport Sent, Tcb
from libos.net.tcp cimport flight, rto
from libos.net.tcp.engine cimport Engine

cdef void delivered(Engine t, Tcb *c, Sent *s) noexcept nogil
cdef void timed(Engine t, Tcb *c, long long rtt) noexcept nogil
cdef long long window(Tcb *c) noexcept nogil
@cython.locals(wait="long long", left="long long", above="long long", reach="long long")
cdef void detect(Engine t, Tcb *c) noexcept nogil
cdef bint later(long long time, unsigned int end, long long other, unsigned int other_end) noexcept nogil
cdef void duplicated(Tcb *c) noexcept nogil
cdef void repaired(Tcb *c) noexcept nogil
cdef long long THRESHOLD, PERSIST, LEAST_LIFE
