cimport cython
from libos cimport calls, endpoint, raw
from libos.core cimport channel, layout, logs, loops, sockets
from libos.core.table cimport Table

@cython.locals(opcode="unsigned int")
cdef long long attempt(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(stream=bint)
cdef bint is_connection(size_t queue) noexcept nogil
cdef bint noted(size_t operation, unsigned int what) noexcept nogil
@cython.locals(opcode="unsigned int", inbound=bint)
cdef size_t line_of(size_t queue, size_t operation) noexcept nogil
cdef bint in_kernel(size_t queue) noexcept nogil
@cython.locals(opcode="unsigned int", r="long long")
cdef long long attempt_in_kernel(Table table, size_t queue, size_t operation) noexcept nogil
cdef void wait_in_line(Table table, size_t line, size_t operation) noexcept nogil
@cython.locals(driven=size_t, operation=size_t, r="long long")
cdef void drive_in_kernel(Table table, size_t queue, size_t line) noexcept nogil
@cython.locals(line=size_t, r="long long")
cpdef void start(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(opcode="unsigned int", line=size_t)
cdef void end(Table table, size_t queue, size_t operation, long long result) noexcept nogil
@cython.locals(operation=size_t, r="long long")
cdef void drive(Table table, size_t queue, size_t line) noexcept nogil
@cython.locals(queue=size_t, end=size_t)
cdef void heard(Table table, unsigned long long qd, unsigned int events) noexcept nogil
@cython.locals(operation=size_t)
cdef void give_up(Table table, size_t queue, size_t line) noexcept nogil
@cython.locals(queue=size_t, fd="long long", looped=bint, logged=bint, messages=bint)
cpdef long long close(Table table, long long qd) noexcept nogil
