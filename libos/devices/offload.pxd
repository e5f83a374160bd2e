cimport cython
from libos.devices cimport layout
from libos.net cimport octets

@cython.locals(total="unsigned int")
cpdef bint complete(size_t frame, long long length, long long start, long long offset) noexcept nogil
@cython.locals(ip=size_t, ends=size_t, header="long long", inner="long long", size="long long", offset="long long", protocol="unsigned int", pseudo="unsigned int")
cpdef void mended(size_t frame, long long length) noexcept nogil
cpdef unsigned int folded(unsigned int total) noexcept nogil

@cython.final
cdef class Cutter:
    cdef public size_t frame
    cdef public long long rest, start, header, size, done, count
    cdef public unsigned int sum, kind
    @cython.locals(udp=bint, version="unsigned int", field=size_t)
    cpdef bint begin(self, size_t frame, long long length, unsigned int kind, long long size, long long start) noexcept nogil
    @cython.locals(n="long long", inner="long long", ip=size_t, transport=size_t, field=size_t, total="unsigned int")
    cpdef long long cut(self, size_t at) noexcept nogil
