cimport cython
from libos cimport calls, raw
from libos.net cimport octets, structs
from libos.net.recorder cimport Recorder, state

cdef long SYS_fallocate, SYS_ftruncate
cdef unsigned long long STEP

@cython.final
cdef class TapeFile(Recorder):
    cdef public size_t base
    cdef public long fd
    cdef public unsigned long long limit
    @cython.locals(r=long)
    cpdef int grow(self) noexcept nogil
    cpdef void close(self) noexcept nogil
    cpdef void finish(self) noexcept nogil
