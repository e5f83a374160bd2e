cimport cython
from libos cimport raw
from libos.capi cimport layout as c
from libos.core cimport layout
from libos.sgarray cimport SGArray, address_of

cdef class NativeFunction:
    cdef public size_t address, context_at, at
    cdef public object owner, context, room
    @cython.locals(count="long long", i="long long", place=size_t, size="long long")
    cdef int lay_out(self, SGArray sga, size_t at) except -1
    @cython.locals(said=int)
    cdef int called(self) except -1
    cpdef SGArray passed(self, SGArray sga)

@cython.final
cdef class Predicate(NativeFunction):
    pass

@cython.final
cdef class Change(NativeFunction):
    @cython.locals(count="long long", i="long long", place=size_t, size="long long", first="long long", length="long long", left=list, whole=bint)
    cdef int narrow(self, SGArray sga) except -1

@cython.final
cdef class Order(NativeFunction):
    cpdef int compared(self, SGArray one, SGArray other) except? -1
