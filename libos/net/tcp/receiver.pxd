cimport cython
from libos.net cimport ring, seq, structs
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp cimport closing, sender, timing, window
from libos.net.tcp.engine cimport Engine

cdef void text(Engine t, Tcb *c, Packet *p) noexcept nogil
@cython.locals(length="long long", start="unsigned int", skip="long long", beyond="long long", fin=bint)
cdef bint take(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef void in_order(Engine t, Tcb *c, size_t payload, long long length) noexcept nogil
cdef void owe(Engine t, Tcb *c, long long length) noexcept nogil
cdef void ahead(Engine t, Tcb *c, unsigned int start, size_t payload, long long length) noexcept nogil
@cython.locals(i="unsigned int", j="unsigned int", k="unsigned int", left="unsigned int", right="unsigned int")
cdef bint remember(Tcb *c, unsigned int start, unsigned int end) noexcept nogil
cdef void close_hole(Engine t, Tcb *c) noexcept nogil
cdef void remove_first(Tcb *c) noexcept nogil
cdef void duplicate(Tcb *c, unsigned int left, unsigned int right) noexcept nogil
cdef void urgent(Engine t, Tcb *c, Packet *p) noexcept nogil
cdef unsigned int read_position(Tcb *c) noexcept nogil
@cython.locals(n="long long", skipped="long long")
cdef long long read(Engine t, Tcb *c, size_t address, long long size, bint peek) noexcept nogil
cdef void skip(Engine t, Tcb *c, long long n) noexcept nogil
cdef void past_mark(Tcb *c) noexcept nogil
cdef bint at_mark(Tcb *c) noexcept nogil
@cython.locals(distance="long long")
cdef long long until_mark(Tcb *c, long long n) noexcept nogil
cdef void opened(Engine t, Tcb *c) noexcept nogil
cdef long long ENOUGH
