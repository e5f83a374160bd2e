from interpose cimport abi, description
from interpose.description cimport Description
from libos cimport driver

cdef class Listener(Description):
    cdef long long accept(self, size_t address, size_t length, int flags, size_t qt) noexcept nogil
    cdef long long ended(self) noexcept nogil
