cimport cython
from libos cimport calls, raw
from libos.devices cimport layout
from libos.devices.frame_device cimport FrameDevice
from libos.devices.offload cimport Cutter, complete

@cython.final
cdef class AfPacket(FrameDevice):
    cdef public str name
    cdef public long fd, out
    cdef public long long largest
    cdef public unsigned long long stride, size, next, got
    cdef public size_t place
    cdef public Cutter cutter
    cpdef size_t slot(self, unsigned long long i) noexcept nogil
    @cython.locals(got=long)
    cdef void fetch(self, unsigned long long limit) noexcept nogil
    @cython.locals(n="unsigned long long", at=size_t, length="long long")
    cpdef unsigned long long receive(self, size_t frames, unsigned long long limit) noexcept nogil
    @cython.locals(said="unsigned long long")
    cdef bint ready(self, size_t at, long long length) noexcept nogil
    @cython.locals(result=long)
    cpdef bint transmit(self, size_t address, unsigned long long length) noexcept nogil
    cpdef long long deadline(self, long long now) noexcept nogil
    @cython.locals(at=size_t)
    cpdef bint arm(self) noexcept nogil
    cpdef void disarm(self) noexcept nogil
