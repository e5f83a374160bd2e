from libos cimport raw
from libos.net cimport structs
from libos.net.structs cimport Link

cdef void append(size_t at, Link *link, size_t record) noexcept nogil
cdef void remove(size_t at, Link *link) noexcept nogil
cdef size_t first(size_t at) noexcept nogil
cdef size_t take(size_t at) noexcept nogil
cdef void chain(size_t place, size_t record) noexcept nogil
cdef void unchain(size_t place, size_t record) noexcept nogil
