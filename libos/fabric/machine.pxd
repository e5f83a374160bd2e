cimport cython
from libos.fabric cimport closing, opening, receiving, sending, structs, turns
from libos.fabric.engine cimport Engine
from libos.net cimport linked

@cython.final
cdef class Machine:
    cdef public Engine engine
    cpdef void receive(self, size_t completions, long long count, long long now) noexcept nogil
    cpdef void poll(self, long long now) noexcept nogil
    cpdef long long next_deadline(self) noexcept nogil
    cpdef long long listen(self, unsigned int service, long long backlog) noexcept nogil
    cpdef size_t accept(self, size_t at) noexcept nogil
    cpdef long long connect(self, size_t address, long long length, unsigned int service, long long now) noexcept nogil
    cpdef int push(self, size_t at, size_t address, long long length, unsigned long long token) noexcept nogil
    cpdef int push_at_once(self, size_t at, size_t address, long long length) noexcept nogil
    cdef bint pressed(self) noexcept nogil
    cpdef void doubt(self, size_t at) noexcept nogil
    cdef bint at_rest(self) noexcept nogil
    cpdef bint finished(self, size_t at, size_t result) noexcept nogil
    cpdef int pop(self, size_t at, size_t result) noexcept nogil
    cpdef void shutdown(self, size_t at) noexcept nogil
    cpdef void close(self, size_t at) noexcept nogil
    cpdef void abort(self, size_t at) noexcept nogil
    cpdef void lost(self, size_t at) noexcept nogil
    cpdef unsigned long long pending(self, size_t at) noexcept nogil
    cpdef size_t next_event(self) noexcept nogil
    @cython.locals(mask="unsigned int")
    cpdef unsigned int ready(self, size_t at) noexcept nogil
