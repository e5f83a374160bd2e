cimport cython
from libos cimport calls, raw
from libos.capi cimport layout as c
from libos.core cimport channel, driving, layout, sockets, waiting
from libos.core.table cimport Table
from libos.runtime.memory cimport Heap

cdef class Face:
    cdef public Table table

cdef Face FACE
cdef long long NEVER

@cython.locals(at=size_t)
cdef int queue(size_t qd_out, int capacity) noexcept nogil
@cython.locals(r="long long")
cdef int socket(size_t qd_out, int domain, int kind, int protocol) noexcept nogil
@cython.locals(at=size_t)
cdef long long socket_of(int qd, bint stream) noexcept nogil
cdef bint named(size_t address, unsigned int size) noexcept nogil
@cython.locals(at="long long", r="long long")
cdef int bind(int qd, size_t address, unsigned int size) noexcept nogil
@cython.locals(at="long long", r="long long", state="unsigned long long")
cdef int listen(int qd, int backlog) noexcept nogil
@cython.locals(at="long long", r=int)
cdef int accept(size_t qt_out, int qd) noexcept nogil
@cython.locals(operation=size_t)
cdef int begin(size_t qt_out, size_t at, unsigned int opcode) noexcept nogil
@cython.locals(at="long long", r=int, state="unsigned long long")
cdef int connect(size_t qt_out, int qd, size_t address, unsigned int size) noexcept nogil
@cython.locals(operation=size_t)
cdef int connecting(size_t qt_out, size_t at, size_t address) noexcept nogil
cdef int close(int qd) noexcept nogil
cdef int push(size_t qt_out, int qd, size_t sga) noexcept nogil
cdef int pushto(size_t qt_out, int qd, size_t sga, size_t address, unsigned int size) noexcept nogil
@cython.locals(at=size_t, operation=size_t, r=int)
cdef int submit(size_t qt_out, int qd, size_t sga, size_t address) noexcept nogil
@cython.locals(count="unsigned int", to=size_t, segment=size_t, i="unsigned int", buffer=size_t, size="unsigned int")
cdef int taken(size_t operation, size_t sga) noexcept nogil
@cython.locals(at=size_t, r=int)
cdef int pop(size_t qt_out, int qd) noexcept nogil
cdef int getpeername(int qd, size_t address, size_t length) noexcept nogil
cdef int getsockname(int qd, size_t address, size_t length) noexcept nogil
@cython.locals(at="long long")
cdef int asked(int qd, long call, size_t address, size_t length) noexcept nogil
cdef int getsockopt(int qd, int level, int option, size_t value, size_t length) noexcept nogil
cdef int setsockopt(int qd, int level, int option, size_t value, unsigned int length) noexcept nogil
@cython.locals(at="long long")
cdef int set_or_get(long call, int qd, int level, int option, size_t value, size_t length) noexcept nogil
@cython.locals(buffer=size_t)
cdef void sgaalloc(size_t sga, unsigned long long size) noexcept nogil
@cython.locals(count="unsigned int", i="unsigned int")
cdef int sgafree(size_t sga) noexcept nogil
@cython.locals(buffer=size_t)
cdef bint before(size_t sga, unsigned int i) noexcept nogil
cdef long long nanoseconds(size_t timeout) noexcept nogil
@cython.locals(ns="long long", r="long long")
cdef int wait(size_t result, size_t qtoken_at, size_t timeout) noexcept nogil
@cython.locals(ns="long long", r="long long")
cdef int wait_any(size_t result, size_t offset, size_t qtokens, int count, size_t timeout) noexcept nogil
@cython.locals(ns="long long", r="long long", n=int)
cdef int wait_next_n(size_t results, int size, size_t count, size_t timeout) noexcept nogil
@cython.locals(opcode="unsigned int", error="unsigned long long", value=size_t)
cdef void deliver(size_t operation, unsigned long long qtoken, size_t result) noexcept nogil
@cython.locals(count="unsigned long long", segment=size_t)
cdef void array_out(size_t operation, size_t sga) noexcept nogil
cdef unsigned long long count(int counter) noexcept nogil
