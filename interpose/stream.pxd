cimport cython
from interpose cimport abi, linux
from interpose cimport description
from interpose.description cimport Description
from libos cimport raw
from libos.runtime cimport instrument

cdef class Stream(Description):
    @cython.locals(r=cython.longlong)
    cdef long long recv(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    @cython.locals(r=cython.longlong)
    cdef long long send(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    @cython.locals(r=cython.longlong)
    cdef long long recvmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    @cython.locals(r=cython.longlong)
    cdef long long sendmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    @cython.locals(r=cython.longlong, staged=cython.size_t, room="unsigned long long", sent=cython.longlong, at=cython.longlong)
    cdef long long sendfile(self, int in_fd, size_t offset, unsigned long long size, size_t qt) noexcept nogil
