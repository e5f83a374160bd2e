cimport cython
from libos cimport raw
from libos.devices cimport layout
from libos.devices.frame_device cimport FrameDevice
from libos.net.host cimport Host
from libos.net.outbox cimport Outbox
from libos.net.stack cimport Stack

cdef unsigned long long BURST
cdef long long PATIENCE

@cython.final
cdef class Catnip:
    cdef public FrameDevice device
    cdef public object addresses
    cdef public Stack stack
    cdef public Host host
    cdef public Outbox out
    cdef public size_t frames, leaving
    cdef public bint unsummed
    cdef public unsigned long long vouched
    cdef public long long refused_at, lost
    cpdef long long tick(self) noexcept nogil
    cpdef long long tell(self, long long now) noexcept nogil
    @cython.locals(came=bint)
    cpdef bint turn(self, long long now) noexcept nogil
    @cython.locals(n="unsigned long long", i="unsigned long long", frame=size_t, length="unsigned long long")
    cpdef bint receive(self, long long now) noexcept nogil
    cpdef bint answer(self, long long now) noexcept nogil
    @cython.locals(sent=bint, n="unsigned long long", done="unsigned long long")
    cpdef bint flush(self, long long now) noexcept nogil
    @cython.locals(due="long long", other="long long")
    cpdef long long deadline(self, long long now) noexcept nogil
