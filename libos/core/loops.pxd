cimport cython
from libos cimport calls, endpoint, leaving, raw, rings
from libos cimport layout as ends
from libos.core cimport layout, sockets
from libos.core.table cimport Table
from libos.runtime cimport wakers

cdef unsigned long long NEVER

@cython.locals(uses="unsigned long long")
cdef void use(Table table, size_t queue) noexcept nogil
@cython.locals(end=size_t, at=size_t, last=size_t, done="unsigned long long", size="unsigned long long", r="long long")
cdef long long push(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(end=size_t, size="unsigned long long", there="unsigned long long", buffer=size_t, r="long long")
cdef long long pop(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(plain=bint, r="long long")
cdef long long pop_plain(size_t end, size_t buffer, unsigned long long size) noexcept nogil
@cython.locals(header=size_t, told=bint)
cdef bint quiet(size_t end) noexcept nogil
@cython.locals(first=size_t)
cdef void join(Table table, size_t queue, size_t end) noexcept nogil
@cython.locals(near=size_t, last=size_t, end=size_t)
cdef void attached(Table table, size_t queue) noexcept nogil
cdef size_t place_of(Table table, size_t end) noexcept nogil
@cython.locals(near=size_t, last=size_t)
cdef void detached(Table table, size_t queue) noexcept nogil
@cython.locals(after=size_t, before=size_t)
cdef void part(Table table, size_t queue) noexcept nogil
@cython.locals(qd="unsigned long long")
cdef void attend(Table table) noexcept with gil
cdef void release(Table table, unsigned long long qd) noexcept with gil

cdef class Loops:
    cdef public Table table
    cdef public object catloop, queues
    @cython.locals(at=size_t)
    cpdef pair_came(self, size_t block, bint here)
    @cython.locals(queue=size_t, there=size_t)
    cdef object adopt(self, unsigned long long qd)
    @cython.locals(queue=size_t, next_step="unsigned long long", had=bint)
    cpdef step(self, unsigned long long qd)
    @cython.locals(queue=size_t)
    cdef unsigned long long uses(self, unsigned long long qd)
    cpdef release(self, unsigned long long qd)
