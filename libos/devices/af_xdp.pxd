cimport cython
from libos cimport calls, raw
from libos.devices cimport layout
from libos.devices.bell cimport Bell
from libos.devices.frame_device cimport FrameDevice
from libos.devices.offload cimport mended
from libos.devices.xdp_ring cimport XdpRing

@cython.final
cdef class AfXdp(FrameDevice):
    cdef public str name
    cdef object interface
    cdef public object program
    cdef public list maps
    cdef public long fd, groups, queue, way
    cdef public unsigned long long largest, size, chunk, held, free, lost
    cdef public bint stuck
    cdef public size_t umem, place
    cdef public Bell rung
    cdef public XdpRing rx, tx, fill, done
    cdef void release_chunk(self, unsigned long long chunk) noexcept nogil
    @cython.locals(n="unsigned long long", looks=int, at=size_t, length="unsigned long long")
    cpdef unsigned long long receive(self, size_t frames, unsigned long long limit) noexcept nogil
    @cython.locals(chunk="unsigned long long")
    cdef void give_back(self) noexcept nogil
    @cython.locals(chunk="unsigned long long")
    cpdef bint transmit(self, size_t address, unsigned long long length) noexcept nogil
    @cython.locals(result=long)
    cdef bint kick(self) noexcept nogil
    cpdef long long deadline(self, long long now) noexcept nogil
    @cython.locals(at=size_t)
    cpdef bint arm(self) noexcept nogil
    cpdef void disarm(self) noexcept nogil
