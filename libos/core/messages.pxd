cimport cython
from libos cimport calls, raw
from libos.catmint cimport Catmint
from libos.core cimport driving, layout
from libos.core.table cimport Table
from libos.core.transport cimport Transport
from libos.fabric cimport structs

cdef int GLANCE, TOKEN_OBJECT, TOKEN_NUMBER
cdef long long errno_of(long long error) noexcept nogil

@cython.final
cdef class Messages(Transport):
    cdef public Table table
    cdef public Catmint catmint
    cdef public object steward
    cdef public size_t result
    cdef public long long openings, looks, heard_at
    cdef public bint blind
    @cython.locals(fd="long long", at=size_t, queue=size_t)
    cpdef long long make(self, int family, int kind) noexcept nogil
    @cython.locals(queue=size_t)
    cpdef size_t add(self, long long fd, unsigned long long size) noexcept nogil
    cpdef void join(self, size_t queue, size_t at) noexcept nogil
    @cython.locals(last=size_t)
    cpdef void offer(self, size_t queue, size_t other) noexcept nogil
    @cython.locals(other=size_t, after=size_t)
    cdef size_t offered(self, size_t queue) noexcept nogil
    cpdef void settled(self, size_t queue, long long error) noexcept nogil
    cpdef void lost(self, size_t queue, long long error) noexcept nogil
    cpdef void event(self, size_t queue) noexcept nogil
    @cython.locals(at=size_t)
    cpdef void shut(self, size_t queue) noexcept nogil
    cpdef long long kept(self) noexcept nogil
    cpdef void forked(self) noexcept nogil
    @cython.locals(buffer=size_t, r="long long")
    cpdef long long say(self, size_t at, size_t address, unsigned long long length) noexcept nogil
    @cython.locals(opcode="unsigned int", at=size_t)
    cpdef long long attempt(self, size_t queue, size_t operation) noexcept nogil
    @cython.locals(r="long long", length="long long")
    cdef long long pop(self, size_t at, size_t operation) noexcept nogil
    @cython.locals(length="long long")
    cdef long long push(self, size_t queue, size_t at, size_t operation) noexcept nogil
    @cython.locals(total="long long", done="long long", size="long long", address=size_t, r="long long", error="long long")
    cdef long long push_pieces(self, size_t at, size_t operation) noexcept nogil
    @cython.locals(at=size_t, made=size_t, filled="unsigned long long", part="unsigned long long")
    cdef size_t piece(self, size_t operation, unsigned long long done, unsigned long long size) noexcept nogil
    @cython.locals(token="unsigned long long", number="unsigned long long", generation="unsigned long long", buffer="unsigned long long")
    cdef unsigned long long token(self, size_t operation, size_t address) noexcept nogil
    @cython.locals(token="unsigned long long", buffer=size_t)
    cpdef void let_go(self, size_t at) noexcept nogil
    @cython.locals(operation=size_t, generation="unsigned long long", left="unsigned long long", queue=size_t, error="long long", result="long long")
    cdef void arrived(self, unsigned long long token, unsigned long long status) noexcept nogil
    @cython.locals(other=size_t)
    cdef long long accept(self, size_t queue, size_t operation) noexcept nogil
    @cython.locals(error="long long")
    cdef long long connected(self, size_t queue) noexcept nogil
    @cython.locals(found="long long")
    cpdef long long look(self) noexcept nogil
    @cython.locals(found="long long", at=size_t, queue=size_t)
    cdef long long events(self) noexcept nogil
    @cython.locals(now="long long", due="long long", soon="long long")
    cpdef long long doze(self) noexcept nogil
    cpdef void rouse(self) noexcept nogil
    cpdef void listen(self, unsigned long long qd, long long backlog) noexcept with gil
    cpdef void call(self, unsigned long long qd) noexcept with gil
    cpdef void release(self, unsigned long long qd, long long fd) noexcept with gil
