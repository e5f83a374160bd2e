from interpose cimport abi, description, watching
from libos cimport layout, raw
from libos.runtime cimport instrument

cdef long long ready(int ep, size_t events, int n, size_t qt) noexcept nogil
cdef long long woke(unsigned long long qtoken, int op, size_t data, long long result) noexcept nogil
cdef long long dropped(unsigned long long qtoken) noexcept nogil
