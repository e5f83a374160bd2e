cimport cython
from libos cimport raw
from libos.fabric cimport closing, opening, receiving, sending, structs
from libos.fabric.engine cimport Engine
from libos.fabric.structs cimport Completion, Connection, Item, Peer
from libos.net cimport linked, structs as lists

cdef long long AGAIN, SHORTAGE, DOUBT
@cython.locals(k="long long")
cdef void receive(Engine t, size_t completions, long long count, long long now) noexcept nogil
@cython.locals(number="long long", status="unsigned int", push=size_t)
cdef void completed(Engine t, Completion *d) noexcept nogil
cdef bint arrived(Engine t, Item *i, Completion *d) noexcept nogil
@cython.locals(turns="long long", result=int, at=size_t)
cdef void poll(Engine t, long long now) noexcept nogil
@cython.locals(number="long long")
cdef void look_after_time(Engine t) noexcept nogil
cdef void beat(Engine t, long long number, Peer *p) noexcept nogil
@cython.locals(c="Connection *", p="Peer *")
cdef void doubt(Engine t, size_t at) noexcept nogil
@cython.locals(k="long long")
cdef Connection *another(Engine t, long long number) noexcept nogil
@cython.locals(due="long long")
cdef long long next_deadline(Engine t) noexcept nogil
@cython.locals(result=int, told=int, short=bint)
cdef int attend(Engine t, Connection *c) noexcept nogil
cdef bint say_abort(Engine t, Connection *c) noexcept nogil
