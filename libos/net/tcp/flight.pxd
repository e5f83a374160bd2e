from libos.net cimport octets, seq, structs
from libos.net.structs cimport Sent, Tcb
from libos.net.tcp.engine cimport Engine

cdef Sent *at(Tcb *c, long long index) noexcept nogil
cdef bint room(Engine t, Tcb *c) noexcept nogil
cdef void append(Engine t, Tcb *c, unsigned int start, long long length, unsigned int marks) noexcept nogil
cdef void forget_oldest(Tcb *c, Sent *s) noexcept nogil
cdef void lose(Tcb *c, Sent *s) noexcept nogil
cdef void lose_all(Tcb *c) noexcept nogil
cdef void sent_again(Engine t, Tcb *c, Sent *s) noexcept nogil
cdef bint split(Engine t, Tcb *c, long long index, long long length) noexcept nogil
cdef long long index_of_lost(Tcb *c) noexcept nogil
cdef long long unsent(Tcb *c) noexcept nogil
cdef long long pipe(Tcb *c) noexcept nogil
cdef long long waiting(Tcb *c) noexcept nogil
