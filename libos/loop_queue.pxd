cimport cython
from libos cimport calls, endpoint, layout, raw
from libos.kernel_queue cimport KernelQueue

cdef class LoopQueue(KernelQueue):
    cdef public size_t end
    cdef public unsigned long long uses, next_step
    cdef public bint accepting
    cdef public object meeting
    @cython.locals(segment=size_t, last=size_t, done="long long", part="unsigned long long", r="long long")
    cdef long long over_segments(self, size_t message, int flags, bint inward) noexcept nogil
