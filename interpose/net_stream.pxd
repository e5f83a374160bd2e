cimport cython
from interpose cimport abi, description, linux
from interpose.driven_stream cimport DrivenStream
from interpose.loop_stream cimport LoopStream
from libos cimport calls, driver, layout, raw, spine

cdef int NOT_OURS

cdef class NetStream(DrivenStream):
    cdef public bint opening
    @cython.locals(r="long long")
    cdef long long connect(self, size_t address, unsigned int length, size_t qt) noexcept nogil
    @cython.locals(unread=bint)
    cdef bint departs(self) noexcept nogil
    cdef bint waits(self) noexcept nogil

cdef long long begun(NetStream d, size_t address, unsigned int length) noexcept with gil
