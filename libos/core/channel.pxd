cimport cython
from libos cimport calls, raw
from libos.core cimport layout
from libos.core.table cimport Table
from libos.runtime cimport wakers

@cython.locals(size="unsigned long long", ring=size_t, queue=size_t)
cpdef size_t add(Table table, unsigned long long capacity) noexcept nogil
@cython.locals(tail="unsigned long long", element=size_t)
cdef long long push(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(head="unsigned long long", element=size_t)
cdef long long pop(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(head="unsigned long long", element=size_t, size="unsigned long long")
cdef void close(Table table, size_t queue) noexcept nogil
