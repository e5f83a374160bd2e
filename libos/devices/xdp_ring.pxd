cimport cython
from libos cimport raw
from libos.devices cimport layout

cdef extern from *:
    int NEED_WAKEUP "1"

@cython.final
cdef class XdpRing:
    cdef public size_t filled, emptied, flags, entries
    cdef public unsigned int size, mask, here
    cdef size_t entry(self) noexcept nogil
    cdef bint waiting(self) noexcept nogil
    cdef void step(self) noexcept nogil
    cdef void publish(self) noexcept nogil
    cdef void release(self) noexcept nogil
    cdef bint sleeps(self) noexcept nogil
