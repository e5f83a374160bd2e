from libos.net cimport octets
from libos.net.host cimport Host
from libos.net.structs cimport Ring

cdef bint hold(Host host, Ring *r, long long octets_in_all) noexcept nogil
cdef void put(Ring *r, long long offset, size_t source, long long count) noexcept nogil
cdef void get(Ring *r, long long offset, size_t target, long long count) noexcept nogil
cdef void drop(Ring *r, long long count) noexcept nogil
cdef void release(Host host, Ring *r) noexcept nogil
