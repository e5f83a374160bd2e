cimport cython
from interpose cimport abi, description, linux
from interpose.loop_stream cimport LoopStream
from libos cimport calls, driver, layout, raw, records, rings, spine

cdef int NOT_OURS

cdef class NetStream(LoopStream):
    cdef public bint driven, opening
    cdef public size_t relay
    cdef long long recv(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef long long send(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef long long recvmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    cdef long long sendmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    cdef long long sendfile(self, int in_fd, size_t offset, unsigned long long size, size_t qt) noexcept nogil
    @cython.locals(why="long long")
    cdef long long told(self, long long r) noexcept nogil
    @cython.locals(r="long long")
    cdef long long connect(self, size_t address, unsigned int length, size_t qt) noexcept nogil
    @cython.locals(r="long long", unread=bint)
    cdef long long ended(self) noexcept nogil
    cdef bint waits(self) noexcept nogil

cdef long long begun(NetStream d, size_t address, unsigned int length) noexcept with gil
