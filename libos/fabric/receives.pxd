cimport cython
from libos.fabric cimport structs
from libos.fabric.buffers cimport Buffers
from libos.fabric.fabric cimport Fabric
from libos.fabric.regions cimport Regions
from libos.fabric.slots cimport Slots
from libos.fabric.structs cimport Item

@cython.final
cdef class Receives:
    cdef public Fabric fabric
    cdef public Buffers buffers
    cdef public Regions regions
    cdef public Slots items
    cdef public long long size, posted, promised, spares, short
    cdef public size_t spare
    cdef void ensure(self, long long more) noexcept nogil
    cdef void fill(self) noexcept nogil
    cdef void put_by(self, Item *i) noexcept nogil
    cdef void spend(self) noexcept nogil
    cdef Item *spared(self) noexcept nogil
    cdef bint post(self) noexcept nogil
    cdef bint again(self, Item *i) noexcept nogil
    cdef void recycle(self, Item *i) noexcept nogil
    cdef void drop(self, Item *i) noexcept nogil
    cdef bint overdrawn(self) noexcept nogil
    cdef long long promise(self, long long count, long long at_least) noexcept nogil
    cdef bint may_ask(self, long long count) noexcept nogil
