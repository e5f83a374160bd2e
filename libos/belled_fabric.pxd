cimport cython
from libos cimport calls, raw
from libos.fabric.fabric cimport Fabric
from libos.fabric.libfabric cimport LibFabric

cdef long long LOOK, MOST
cdef size_t WORD, NAMES, ASKED, KNOWN

@cython.final
cdef class BelledFabric(Fabric):
    cdef public LibFabric inner
    cdef public size_t word, known, asked
    cdef public unsigned long long bell_of
    cdef public long sock, count
    @cython.locals(at=size_t)
    cpdef void acquaint(self, long long peer, size_t word, size_t names) noexcept nogil
    @cython.locals(at=size_t, word=size_t, name=size_t, bell="unsigned long long")
    cpdef void wake(self) noexcept nogil
    @cython.locals(at=size_t)
    cdef void note(self, long long peer) noexcept nogil
    cpdef long long peer(self, size_t address, long long length) noexcept nogil
    cpdef void forget(self, long long peer) noexcept nogil
    cpdef long long register(self, size_t address, unsigned long long length) noexcept nogil
    cpdef void deregister(self, long long region) noexcept nogil
    cpdef long long expose(self, long long region, size_t address, unsigned long long length, unsigned int access, long long peer) noexcept nogil
    cpdef unsigned long long key(self, long long window) noexcept nogil
    cpdef unsigned long long base(self, long long window) noexcept nogil
    cpdef void withdraw(self, long long window) noexcept nogil
    cpdef bint post_receive(self, size_t address, unsigned long long length, long long region, unsigned long long context) noexcept nogil
    cpdef bint send(self, long long peer, size_t pieces, long long count, unsigned long long context) noexcept nogil
    cdef bint out(self, long long peer, bint taken) noexcept nogil
    cpdef bint inject(self, long long peer, size_t address, long long length) noexcept nogil
    cpdef bint write(self, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept nogil
    cpdef bint read(self, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept nogil
    @cython.locals(n="long long")
    cpdef long long poll(self, size_t completions, long long limit) noexcept nogil
    cpdef long long deadline(self, long long now) noexcept nogil
    cpdef bint arm(self) noexcept nogil
    cpdef void disarm(self) noexcept nogil
