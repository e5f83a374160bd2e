cimport cython
from libos.fabric cimport structs
from libos.fabric.engine cimport Engine
from libos.fabric.structs cimport Connection
from libos.net cimport linked

cdef void give_up_pushes(Engine t, Connection *c, size_t queue, unsigned int error) noexcept nogil
cdef void fail(Engine t, Connection *c, unsigned int error, bint say) noexcept nogil
cdef void leave_opening(Engine t, Connection *c) noexcept nogil
cdef void call(Engine t, Connection *c) noexcept nogil
@cython.locals(k="long long")
cdef void peer_gone(Engine t, long long number, unsigned int error) noexcept nogil
@cython.locals(said="unsigned int")
cdef void settle(Engine t, Connection *c) noexcept nogil
cdef void shut(Engine t, Connection *c) noexcept nogil
cdef void close(Engine t, Connection *c) noexcept nogil
