cimport cython
from libos cimport calls, raw
from libos.core cimport driving, layout, logs
from libos.core.table cimport Table

cpdef void before(Table table) noexcept nogil
cpdef void in_parent(Table table) noexcept nogil
@cython.locals(number="unsigned long long", queue=size_t)
cpdef void in_child(Table table) noexcept nogil
@cython.locals(number="unsigned long long")
cdef void forget_sleepers(Table table) noexcept nogil
cdef void renew(Table table, size_t queue) noexcept nogil
