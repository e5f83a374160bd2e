cimport cython
from libos cimport raw
from libos.devices cimport layout

cdef class FrameDevice:
    cdef public bytes mac
    cdef public unsigned int mtu, capabilities, cuts
    cdef public unsigned long long received, transmitted, full, errors
    cdef unsigned long long receive(self, size_t frames, unsigned long long limit) noexcept nogil
    cdef bint transmit(self, size_t address, unsigned long long length) noexcept nogil
    @cython.locals(i="unsigned long long")
    cdef unsigned long long transmit_burst(self, size_t frames, unsigned long long count) noexcept nogil
    cdef long long deadline(self, long long now) noexcept nogil
    cdef bint arm(self) noexcept nogil
    cdef void disarm(self) noexcept nogil

cdef class PythonDevice(FrameDevice):
    cdef unsigned long long receive(self, size_t frames, unsigned long long limit) noexcept with gil
    cdef bint transmit(self, size_t address, unsigned long long length) noexcept with gil
    cdef long long deadline(self, long long now) noexcept with gil
    cdef bint arm(self) noexcept with gil
    cdef void disarm(self) noexcept with gil
