cimport cython
from interpose cimport abi, linux
from libos cimport driver, raw
from libos.queue cimport Queue
from libos.runtime cimport instrument
from libos.runtime.qtokens cimport Qtokens
from libos.runtime.memory cimport Heap

cdef class Process:
    cdef public size_t forks_at, bells
    cdef public bint ruled, watched
    cdef public unsigned long long stage
    cdef public Qtokens qtokens
    cdef public Heap heap
    cdef public object stream, libos, default, log, choose, graveyard, waiting, attention, handed, network, abroad, datagrams, interfaces, mint, files
    cdef public object bind_number, grace_begin, grace_passed

cdef Process PROCESS

cdef class Description:
    cdef public Queue queue
    cdef public object numbers
    cdef public bint nonblock, forgotten
    cdef public int lowat
    cdef public unsigned int epoch
    cpdef bint close_number(self, int number) except -1
    cdef bint sleeps(self) noexcept nogil
    cdef long long shutdown(self, int how) noexcept nogil
    cdef long long leave(self) noexcept nogil
    cdef long long ended(self) noexcept nogil
    cdef size_t handle(self) noexcept nogil
    cdef long long observed(self, size_t message, long long count) noexcept nogil
    cdef long long block(self, int kind, size_t qt) noexcept nogil
    cdef long long recv(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef long long send(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef long long recvmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    cdef long long sendmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    cdef long long sendfile(self, int in_fd, size_t offset, unsigned long long size, size_t qt) noexcept nogil
    cdef long long accept(self, size_t address, size_t length, int flags, size_t qt) noexcept nogil
    cdef long long connect(self, size_t address, unsigned int length, size_t qt) noexcept nogil

cpdef bint register(Description description) except -1
cpdef retire(Description description)
cdef long long stale(long long r) noexcept nogil

cdef long long observe(long qd, size_t message, long long count) noexcept nogil
cdef void observe_push(long qd, size_t message) noexcept nogil
@cython.locals(segment=cython.size_t, last=cython.size_t, left=cython.longlong, part=cython.longlong)
cdef long long walk(long qd, size_t message, long long count, bint outward) noexcept nogil
cdef bint left_by_rule(Description d, size_t address, unsigned int length) noexcept with gil
