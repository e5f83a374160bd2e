cimport cython
from interpose cimport abi, description, linux, watching
from interpose.loop_stream cimport LoopStream
from libos cimport calls, driver, endpoint, layout, letters, postbox, raw
from libos.gateway cimport Gateway
from libos.runtime cimport instrument

cdef int NOT_OURS, ASK

cdef class NetDatagram(LoopStream):
    cdef public Gateway gateway
    cdef public bint abroad, away, connected
    cdef public unsigned long long to_high, to_low
    cdef public unsigned int to_port
    cdef public bint asked, refused
    @cython.locals(r="long long")
    cdef long long recv(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef long long send(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    @cython.locals(r="long long")
    cdef long long recvmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    @cython.locals(r="long long", name=size_t)
    cdef long long sendmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    cdef long long sendfile(self, int in_fd, size_t offset, unsigned long long size, size_t qt) noexcept nogil
    @cython.locals(r="long long")
    cdef long long connect(self, size_t address, unsigned int length, size_t qt) noexcept nogil
    @cython.locals(r="long long")
    cdef long long shutdown(self, int how) noexcept nogil
    cdef long long ended(self) noexcept nogil
    cdef long long leave(self) noexcept nogil
    @cython.locals(r="long long")
    cdef long long received(self, size_t message, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    @cython.locals(r="long long", post="unsigned long long")
    cdef long long attempt(self, size_t message, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef bint by_letter(self) noexcept nogil
    cdef bint asks_kernel(self, int flags, size_t qt) noexcept nogil
    @cython.locals(r="long long")
    cdef long long posted(self, size_t message, size_t address, unsigned long long size, size_t name) noexcept nogil
    cdef long long sent(self, long long r, int flags, size_t qt) noexcept nogil
    @cython.locals(high="unsigned long long", low="unsigned long long", port="unsigned int")
    cdef long long routed(self, size_t name, unsigned int length) noexcept nogil

cdef long long begun(NetDatagram d, size_t address, unsigned int length) noexcept with gil
