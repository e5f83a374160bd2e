cimport cython
from libos cimport calls, raw
from libos.capi cimport arrays, process
from libos.capi cimport layout as c
from libos.core cimport layout, waiting

cdef long long NEVER

cdef long long nanoseconds(size_t timeout) noexcept nogil
@cython.locals(ns="long long", r="long long")
cdef int wait(size_t result, size_t qtoken_at, size_t timeout) noexcept nogil
@cython.locals(ns="long long", r="long long")
cdef int wait_any(size_t result, size_t offset, size_t qtokens, int count, size_t timeout) noexcept nogil
@cython.locals(ns="long long", r="long long", n=int)
cdef int wait_next_n(size_t results, int size, size_t count, size_t timeout) noexcept nogil
@cython.locals(opcode="unsigned int", error="unsigned long long", value=size_t)
cdef void deliver(size_t operation, unsigned long long qtoken, size_t result) noexcept nogil
