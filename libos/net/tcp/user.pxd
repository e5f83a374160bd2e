cimport cython
from libos.net cimport host as hosts, linked, octets, ring, routes, seq, structs
from libos.net.structs cimport Tcb
from libos.net.tcp cimport closing, opening, ports, receiver, sender, timing
from libos.net.tcp.engine cimport Engine

cpdef size_t open(Engine t, unsigned int family) noexcept nogil
cpdef int bind(Engine t, size_t at, unsigned long long high, unsigned long long low, unsigned int port) noexcept nogil
cpdef int listen(Engine t, size_t at, unsigned int backlog) noexcept nogil
cpdef int connect(Engine t, size_t at, unsigned long long high, unsigned long long low, unsigned int port) noexcept nogil
cpdef long long accept(Engine t, size_t at) noexcept nogil
@cython.locals(n="long long", room="long long")
cpdef long long send(Engine t, size_t at, size_t address, long long size, bint more) noexcept nogil
cpdef long long send_urgent(Engine t, size_t at, size_t address, long long size) noexcept nogil
@cython.locals(n="long long")
cpdef long long receive_into(Engine t, size_t at, size_t address, long long size, bint peek) noexcept nogil
cpdef size_t oldest(Engine t, size_t at) noexcept nogil
@cython.locals(n="long long")
cpdef long long in_one_piece(Engine t, size_t at) noexcept nogil
cpdef void taken(Engine t, size_t at, long long count) noexcept nogil
cpdef long long sendable(Engine t, size_t at) noexcept nogil
cpdef long long receive_urgent(Engine t, size_t at, size_t address, bint peek) noexcept nogil
cpdef bint at_mark(Engine t, size_t at) noexcept nogil
cpdef int shutdown(Engine t, size_t at, bint reading, bint writing) noexcept nogil
cpdef void close(Engine t, size_t at) noexcept nogil
cpdef void abort(Engine t, size_t at) noexcept nogil
@cython.locals(mask="unsigned int")
cpdef unsigned int ready(Engine t, size_t at) noexcept nogil
cpdef unsigned int take_error(Engine t, size_t at) noexcept nogil
cpdef int set_option(Engine t, size_t at, unsigned int option, bint on) noexcept nogil
cpdef void renew(Engine t, size_t at) noexcept nogil
cpdef long long readable(Engine t, size_t at) noexcept nogil
cpdef long long unacknowledged(Engine t, size_t at) noexcept nogil
cdef int pending_error(Tcb *c) noexcept nogil
