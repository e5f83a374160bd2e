cimport cython
from libos cimport calls, endpoint, layout, leaving, raw, rings, spine
from libos.kernel_queue cimport KernelQueue

@cython.final
cdef class LoopQueue(KernelQueue):
    cdef public size_t end
    cdef public unsigned long long uses, next_step
    cdef public bint accepting, attended
    cdef public object meeting, crossing, owner
    @cython.locals(segment=size_t, last=size_t, count="unsigned long long", total="unsigned long long")
    cdef long long length(self, size_t message) noexcept nogil
    cpdef unsigned long long beside(self, bint outward) noexcept nogil
    cdef void bare(self, size_t message) noexcept nogil
    cdef long long push_rest(self, size_t message, unsigned long long done, int flags) noexcept nogil
    @cython.locals(r="long long")
    cdef long long pop_rest(self, size_t message, unsigned long long done, int flags) noexcept nogil
    @cython.locals(r="unsigned long long", there="unsigned long long", part="unsigned long long", ring=size_t, mask="unsigned long long", at="unsigned long long")
    cdef long long peek_on(self, size_t segment, size_t last, unsigned long long seen, int flags) noexcept nogil
    @cython.locals(segment=size_t, last=size_t, part="unsigned long long", moved="long long", r="long long")
    cdef long long move_rest(self, size_t message, unsigned long long done, int flags, bint inward) noexcept nogil
