cimport cython
from libos cimport calls, raw
from libos.devices cimport layout
from libos.devices.bell cimport Bell
from libos.devices.frame_device cimport FrameDevice
from libos.devices.offload cimport Cutter, complete

@cython.final
cdef class AfPacket(FrameDevice):
    cdef public str name
    cdef public long fd, out
    cdef public long long largest
    cdef public unsigned long long stride, size, slot, slots, head, tail
    cdef public size_t ring, place
    cdef public Cutter cutter
    cdef public Bell rung
    @cython.locals(n="unsigned long long", looks=int, at=size_t, length="long long")
    cpdef unsigned long long receive(self, size_t frames, unsigned long long limit) noexcept nogil
    cdef bint filled(self) noexcept nogil
    @cython.locals(room="long long", length="long long", tries=int)
    cdef long long beside(self, size_t at) noexcept nogil
    @cython.locals(said="unsigned long long")
    cdef bint ready(self, size_t at, long long length) noexcept nogil
    @cython.locals(result=long)
    cpdef bint transmit(self, size_t address, unsigned long long length) noexcept nogil
    cpdef long long deadline(self, long long now) noexcept nogil
    @cython.locals(at=size_t)
    cpdef bint arm(self) noexcept nogil
    cpdef void disarm(self) noexcept nogil
