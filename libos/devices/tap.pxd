cimport cython
from libos cimport calls, raw
from libos.devices cimport layout
from libos.devices.frame_device cimport FrameDevice

@cython.final
cdef class Tap(FrameDevice):
    cdef public str name
    cdef public long fd
    cdef public unsigned long long largest, stride
    cdef public size_t place
    @cython.locals(n="unsigned long long", at=size_t, length=long)
    cpdef unsigned long long receive(self, size_t frames, unsigned long long limit) noexcept nogil
    @cython.locals(result=long)
    cpdef bint transmit(self, size_t address, unsigned long long length) noexcept nogil
    cpdef long long deadline(self, long long now) noexcept nogil
    cpdef bint arm(self) noexcept nogil
    cpdef void disarm(self) noexcept nogil
