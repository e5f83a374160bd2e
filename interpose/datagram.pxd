cimport cython
from interpose cimport abi, description, linux
from interpose.description cimport Description
from libos.runtime cimport instrument

cdef class Datagram(Description):
    @cython.locals(r=cython.longlong)
    cdef long long popped(self, long long r, int flags, size_t qt) noexcept nogil
    cdef long long pushed(self, long long r, int flags, size_t qt) noexcept nogil
    @cython.locals(r=cython.longlong)
    cdef long long recv(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef long long send(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    @cython.locals(r=cython.longlong)
    cdef long long recvmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    cdef long long sendmsg(self, size_t message, int flags, size_t qt) noexcept nogil
