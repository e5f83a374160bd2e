cimport cython
from libos cimport layout, raw, rings

cdef long long SWEEP
cdef size_t REACHED
cdef unsigned long long NEAR

cdef class Records:
    cdef public size_t table, arena
    cdef public unsigned long long ends, next_end
    cdef public bint full
    cdef public long long sweep_at
    cdef public object detach
    @cython.locals(end=size_t)
    cpdef size_t claim(self) except? 0
    @cython.locals(number="long long")
    cpdef size_t find(self) noexcept
    cpdef bint alone(self, size_t end) noexcept
    @cython.locals(i=int)
    cpdef void join(self, size_t end) noexcept
    cpdef give_back(self, size_t end)
    cpdef clear(self, size_t end)
    @cython.locals(freed=int, number="unsigned long long", end=size_t)
    cpdef int sweep(self) except? -1
    @cython.locals(number="unsigned long long", end=size_t)
    cpdef values(self, size_t offset)
    cpdef void note(self, unsigned long long fd, unsigned long long reason) noexcept

@cython.locals(step="unsigned long long", number="unsigned long long", end=size_t)
cdef long long take(size_t arena, unsigned long long start, unsigned long long steps, unsigned long long ends, unsigned long long pid) noexcept nogil
@cython.locals(before="unsigned long long")
cdef void reached(size_t table, unsigned long long count) noexcept nogil
cpdef bint gone(size_t end, unsigned long long user) noexcept nogil
@cython.locals(known="unsigned long long", i=int, user="unsigned long long")
cpdef bint all_gone(size_t end, unsigned long long but) noexcept nogil
@cython.locals(offset=int)
cdef void blank(size_t end) noexcept nogil
@cython.locals(i=int)
cdef void leave(size_t end, unsigned long long pid) noexcept nogil
@cython.locals(word=size_t, shift="unsigned long long")
cdef void note(size_t table, unsigned long long fd, unsigned long long reason) noexcept nogil
