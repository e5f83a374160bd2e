cdef class Fabric:
    cdef public bytes address
    cdef public unsigned int capabilities
    cdef public long long receives, requests, segments, peers, injects
    cdef public unsigned long long refused, failed
    cdef long long peer(self, size_t address, long long length) noexcept nogil
    cdef void forget(self, long long peer) noexcept nogil
    cdef long long register(self, size_t address, unsigned long long length) noexcept nogil
    cdef void deregister(self, long long region) noexcept nogil
    cdef long long expose(self, long long region, size_t address, unsigned long long length, unsigned int access, long long peer) noexcept nogil
    cdef unsigned long long key(self, long long window) noexcept nogil
    cdef unsigned long long base(self, long long window) noexcept nogil
    cdef void withdraw(self, long long window) noexcept nogil
    cdef bint post_receive(self, size_t address, unsigned long long length, long long region, unsigned long long context) noexcept nogil
    cdef bint send(self, long long peer, size_t pieces, long long count, unsigned long long context) noexcept nogil
    cdef bint inject(self, long long peer, size_t address, long long length) noexcept nogil
    cdef bint write(self, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept nogil
    cdef bint read(self, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept nogil
    cdef long long poll(self, size_t completions, long long limit) noexcept nogil
    cdef long long deadline(self, long long now) noexcept nogil
    cdef bint arm(self) noexcept nogil
    cdef void disarm(self) noexcept nogil

cdef class PythonFabric(Fabric):
    cdef long long peer(self, size_t address, long long length) noexcept with gil
    cdef void forget(self, long long peer) noexcept with gil
    cdef long long register(self, size_t address, unsigned long long length) noexcept with gil
    cdef void deregister(self, long long region) noexcept with gil
    cdef long long expose(self, long long region, size_t address, unsigned long long length, unsigned int access, long long peer) noexcept with gil
    cdef unsigned long long key(self, long long window) noexcept with gil
    cdef unsigned long long base(self, long long window) noexcept with gil
    cdef void withdraw(self, long long window) noexcept with gil
    cdef bint post_receive(self, size_t address, unsigned long long length, long long region, unsigned long long context) noexcept with gil
    cdef bint send(self, long long peer, size_t pieces, long long count, unsigned long long context) noexcept with gil
    cdef bint inject(self, long long peer, size_t address, long long length) noexcept with gil
    cdef bint write(self, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept with gil
    cdef bint read(self, long long peer, size_t pieces, long long count, unsigned long long remote, unsigned long long key, unsigned long long context) noexcept with gil
    cdef long long poll(self, size_t completions, long long limit) noexcept with gil
    cdef long long deadline(self, long long now) noexcept with gil
    cdef bint arm(self) noexcept with gil
    cdef void disarm(self) noexcept with gil
