cimport cython
from libos cimport raw
from libos.fabric cimport structs
from libos.fabric.fabric cimport Fabric
from libos.fabric.structs cimport Completion

@cython.final
cdef class LibFabric(Fabric):
    cdef public size_t ask_at, poll_at, arm_at, close_at, register_at, deregister_at, named_at, peer_at, forget_at, receive_at, inject_at
    cdef public size_t scratch, endpoint
    cdef public long long descriptor, receives_out, requests_out
    cpdef long long peer(self, size_t address, long long length) noexcept nogil
    cpdef void forget(self, long long peer) noexcept nogil
    @cython.locals(at=size_t)
    cdef long long memory(self, size_t address, unsigned long long length, unsigned int access) noexcept nogil
    @cython.locals(number="long long")
    cpdef long long register(self, size_t address, unsigned long long length) noexcept nogil
    cpdef void deregister(self, long long region) noexcept nogil
    @cython.locals(number="long long")
    cpdef long long expose(self, long long region, size_t address, unsigned long long length, unsigned int access, long long peer) noexcept nogil
    cpdef unsigned long long key(self, long long window) noexcept nogil
    cpdef unsigned long long base(self, long long window) noexcept nogil
    cpdef void withdraw(self, long long window) noexcept nogil
    @cython.locals(at=size_t)
    cdef bint ask(self, unsigned int operation, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept nogil
    @cython.locals(at=size_t)
    cpdef bint post_receive(self, size_t address, unsigned long long length, long long region, unsigned long long context) noexcept nogil
    cdef bint request(self, unsigned int operation, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept nogil
    cpdef bint send(self, long long peer, size_t pieces, long long count, unsigned long long context) noexcept nogil
    @cython.locals(at=size_t)
    cpdef bint inject(self, long long peer, size_t address, long long length) noexcept nogil
    cpdef bint write(self, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept nogil
    cpdef bint read(self, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept nogil
    @cython.locals(n="long long", k="long long", d="Completion *")
    cpdef long long poll(self, size_t completions, long long limit) noexcept nogil
    cpdef long long deadline(self, long long now) noexcept nogil
    cpdef bint arm(self) noexcept nogil
    cpdef void disarm(self) noexcept nogil
cdef long long LOOK
