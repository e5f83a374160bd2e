cimport cython
from libos cimport calls, raw
from libos.core cimport layout
from libos.core.table cimport Table

cdef int MESSAGE

cdef unsigned int name_size(int family) noexcept nogil
@cython.locals(queue=size_t, r="long long")
cdef long long add(Table table, long long fd, int kind, int state, unsigned long long size) noexcept nogil
@cython.locals(fd="long long", at=size_t)
cpdef long long make(Table table, int family, int kind) noexcept nogil
cdef void forget(Table table, long long fd) noexcept nogil
@cython.locals(queue=size_t)
cdef size_t at_rest(Table table, long long qd) noexcept nogil
@cython.locals(state="unsigned long long")
cdef long long unconnected(size_t queue) noexcept nogil
@cython.locals(r="long long", total="unsigned long long")
cdef long long push(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(at=size_t, count="unsigned long long", done="unsigned long long", fd="long long", to=size_t, size="unsigned long long", flags=int, message=size_t, r="long long")
cdef long long send(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(buffer=size_t, sender=size_t, length=size_t, fd="long long", r="long long")
cdef long long pop(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(small=size_t)
cdef void received(Table table, size_t operation, size_t buffer, unsigned long long size) noexcept nogil
cdef void keep(size_t operation, size_t buffer, unsigned long long size) noexcept nogil
@cython.locals(fd="long long", length=size_t)
cdef long long accept(size_t queue, size_t operation) noexcept nogil
@cython.locals(r="long long")
cdef long long accepted(Table table, size_t queue, size_t operation, long long fd) noexcept nogil
@cython.locals(fd="long long", at=size_t, size="unsigned long long", r="long long")
cdef long long connect(size_t queue, size_t operation) noexcept nogil
cdef long long named(size_t queue, long call, size_t address, size_t length) noexcept nogil
