cimport cython
from libos cimport calls, raw

cdef int CHANGE, SILENT

@cython.final
cdef class Bell:
    cdef public long source, fd
    cdef public size_t at
    cdef void tell(self, long how, long events) noexcept nogil
    cdef void arm(self) noexcept nogil
    cdef void disarm(self) noexcept nogil
