cimport cython
from libos cimport calls, raw
from libos.devices cimport layout
from libos.devices.frame_device cimport FrameDevice
from libos.devices.segment_ring cimport Ring

@cython.final
cdef class Segment(FrameDevice):
    cdef object __weakref__
    cdef public list fds
    cdef object shape, names
    cdef public size_t base, mine
    cdef public unsigned long long size, private_size, stride, oui, port, largest, unknown
    cdef public bytes ipv4, ipv6
    cdef public unsigned int ipv4_prefix
    cdef public Ring ring
    @cython.locals(before="unsigned long long", n="unsigned long long", place=size_t, length="unsigned long long", source="unsigned long long")
    cpdef unsigned long long receive(self, size_t frames, unsigned long long limit) noexcept nogil
    @cython.locals(target="unsigned long long", port="unsigned long long", learned="unsigned long long")
    cpdef bint transmit(self, size_t address, unsigned long long length) noexcept nogil
    @cython.locals(word="unsigned long long", left="unsigned long long", port="unsigned long long")
    cdef void flood(self, size_t address, unsigned long long length) noexcept nogil
    cdef size_t place_of(self, unsigned long long mac) noexcept nogil
    cdef void learn(self, unsigned long long mac, unsigned long long port) noexcept nogil
    cpdef long long deadline(self, long long now) noexcept nogil
    @cython.locals(sleeper=size_t)
    cpdef bint arm(self) noexcept nogil
    @cython.locals(i=int, scratch=size_t)
    cpdef void disarm(self) noexcept nogil
