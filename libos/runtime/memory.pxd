cimport cython
from libos cimport raw
from libos.runtime cimport wakers

cdef int SMALLEST, LARGEST

@cython.final
cdef class Heap:
    cdef public size_t base, classes_at, free_at, refs_at, current_at, counters_at
    cdef public unsigned long long superblocks, app
    @cython.locals(kind=int)
    cdef int class_of(self, unsigned long long size) noexcept nogil
    @cython.locals(kind=int, block="unsigned long long", i="unsigned long long", found=size_t)
    cpdef size_t alloc(self, unsigned long long size) noexcept nogil
    @cython.locals(words="unsigned long long", i="unsigned long long", at=size_t, word="unsigned long long", n="unsigned long long", index="unsigned long long")
    cdef size_t alloc_in(self, unsigned long long block, int kind) noexcept nogil
    @cython.locals(block="unsigned long long", count="unsigned long long", words="unsigned long long", i="unsigned long long", at=size_t)
    cdef bint open_block(self, int kind) noexcept nogil
    @cython.locals(block="unsigned long long", kind="unsigned long long", offset="unsigned long long")
    cdef size_t refs_of(self, size_t address) noexcept nogil
    @cython.locals(block="unsigned long long", kind="unsigned long long")
    cdef size_t refs_around(self, size_t address) noexcept nogil
    @cython.locals(at=size_t, word="unsigned long long")
    cpdef int free(self, size_t address) noexcept nogil
    @cython.locals(at=size_t, word="unsigned long long")
    cpdef int retain(self, size_t address) noexcept nogil
    @cython.locals(at=size_t, word="unsigned long long")
    cpdef int release(self, size_t address) noexcept nogil
    @cython.locals(block="unsigned long long", kind="unsigned long long")
    cpdef size_t object_of(self, size_t address) noexcept nogil
    @cython.locals(at=size_t, room="unsigned long long")
    cpdef bint holds(self, size_t address, unsigned long long size) noexcept nogil
    @cython.locals(at=size_t)
    cpdef bint held(self, size_t address) noexcept nogil
    @cython.locals(at=size_t, word="unsigned long long")
    cpdef void hand_over(self, size_t address) noexcept nogil
    @cython.locals(block="unsigned long long", index="unsigned long long", at=size_t, word="unsigned long long")
    cdef void give_back(self, size_t address) noexcept nogil
    cpdef unsigned long long size_of(self, size_t address) noexcept nogil
    cpdef unsigned long long count(self, int counter) noexcept nogil
    @cython.locals(held="unsigned long long", kind="unsigned long long", block="unsigned long long", count="unsigned long long", i="unsigned long long")
    cpdef unsigned long long live(self) noexcept nogil
