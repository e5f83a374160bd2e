cimport cython
from libos cimport calls, raw
from libos.capi cimport process
from libos.capi cimport layout as c
from libos.core cimport layout

@cython.locals(buffer=size_t)
cdef void sgaalloc(size_t sga, unsigned long long size) noexcept nogil
@cython.locals(count="unsigned int", i="unsigned int")
cdef int sgafree(size_t sga) noexcept nogil
@cython.locals(buffer=size_t)
cdef bint before(size_t sga, unsigned int i) noexcept nogil
@cython.locals(count="unsigned int", to=size_t, segment=size_t, i="unsigned int", buffer=size_t, size="unsigned int")
cdef int taken(size_t operation, size_t sga) noexcept nogil
@cython.locals(count="unsigned long long", segment=size_t)
cdef void array_out(size_t operation, size_t sga) noexcept nogil
