cimport cython
from libos cimport calls, raw
from libos.devices cimport layout
from libos.devices.frame_device cimport FrameDevice
from libos.devices.offload cimport mended

cdef unsigned long long ONE

@cython.final
cdef class Dpdk(FrameDevice):
    cdef object __weakref__
    cdef public str name, driver
    cdef public object library
    cdef public size_t port, place, receive_at, transmit_at, arm_at, disarm_at
    cdef public long fd
    cdef public bint mends
    @cython.locals(found="unsigned int", n="unsigned long long", i="unsigned long long", entry=size_t)
    cpdef unsigned long long receive(self, size_t frames, unsigned long long limit) noexcept nogil
    cpdef bint transmit(self, size_t address, unsigned long long length) noexcept nogil
    @cython.locals(found="unsigned int", useless="unsigned int", n="unsigned long long")
    cpdef unsigned long long transmit_burst(self, size_t frames, unsigned long long count) noexcept nogil
    cpdef long long deadline(self, long long now) noexcept nogil
    cpdef bint arm(self) noexcept nogil
    cpdef void disarm(self) noexcept nogil
