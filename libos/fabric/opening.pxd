cimport cython
from libos cimport raw
from libos.fabric cimport closing, receiving, structs
from libos.fabric.engine cimport Engine
from libos.fabric.structs cimport Connection, Greeting, Header
from libos.net cimport linked

cdef size_t chain(Engine t, unsigned int service) noexcept nogil
cdef Connection *listener(Engine t, unsigned int service) noexcept nogil
cdef long long listen(Engine t, unsigned int service, long long backlog) noexcept nogil
@cython.locals(k="long long")
cdef void unlisten(Engine t, Connection *c) noexcept nogil
cdef size_t accept(Engine t, size_t at) noexcept nogil
cdef Connection *prepared(Engine t, long long number) noexcept nogil
cdef long long connect(Engine t, size_t address, long long length, unsigned int service) noexcept nogil
@cython.locals(kind="unsigned int")
cdef int greet(Engine t, Connection *c) noexcept nogil
cdef bint meet(Connection *c, Header *h, Greeting *g) noexcept nogil
@cython.locals(number="long long")
cdef void hello(Engine t, size_t at, Header *h, unsigned int source) noexcept nogil
cdef void refuse(Engine t, long long number, Greeting *g) noexcept nogil
cdef void welcome(Engine t, Connection *c, size_t at, Header *h) noexcept nogil
cdef void opened(Engine t, Connection *c) noexcept nogil
