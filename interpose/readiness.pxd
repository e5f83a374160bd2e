from interpose cimport abi, description
from libos cimport raw
from libos.runtime cimport instrument

cdef long long ready(size_t qt) noexcept nogil
cdef long long woke(unsigned long long qtoken, int op, size_t data, long long result) noexcept nogil
cdef long long dropped(unsigned long long qtoken) noexcept nogil
