cimport cython
from interpose cimport linux
from interpose.loop_stream cimport LoopStream
from libos cimport calls, driver, layout, raw, records, rings

cdef long long SOON

cdef class DrivenStream(LoopStream):
    cdef public bint driven
    cdef public size_t relay
    cpdef met(self)
    cdef void woken(self, size_t qt) noexcept nogil
    cdef long long recv(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef long long send(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef long long recvmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    cdef long long sendmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    cdef long long sendfile(self, int in_fd, size_t offset, unsigned long long size, size_t qt) noexcept nogil
    @cython.locals(why="long long")
    cdef long long told(self, long long r) noexcept nogil
    @cython.locals(r="long long", limit="long long")
    cdef long long leave(self) noexcept nogil
    @cython.locals(r="long long")
    cdef long long shutdown(self, int how) noexcept nogil
    @cython.locals(r="long long")
    cdef long long ended(self) noexcept nogil
    cdef bint departs(self) noexcept nogil
