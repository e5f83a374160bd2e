cimport cython
from libos cimport layout, raw


@cython.locals(step="unsigned long long", number="unsigned long long", end=size_t)
cpdef long long take(size_t arena, unsigned long long start, unsigned long long ends, unsigned long long pid) noexcept nogil
cpdef bint gone(size_t end, unsigned long long user) noexcept nogil
@cython.locals(count="unsigned long long", known="unsigned long long", i=int, user="unsigned long long")
cpdef bint alone(size_t end, unsigned long long pid) noexcept nogil
@cython.locals(offset=int)
cpdef void blank(size_t end) noexcept nogil
@cython.locals(i=int)
cpdef void leave(size_t end, unsigned long long pid) noexcept nogil
@cython.locals(word=size_t, shift="unsigned long long")
cpdef void note(size_t table, unsigned long long fd, unsigned long long reason) noexcept nogil
