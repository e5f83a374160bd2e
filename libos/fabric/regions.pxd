cimport cython
from libos cimport raw
from libos.fabric cimport structs
from libos.fabric.buffers cimport Buffers
from libos.fabric.fabric cimport Fabric

@cython.final
cdef class Regions:
    cdef public Fabric fabric
    cdef public Buffers buffers
    cdef public size_t table
    cdef public unsigned long long units
    cdef public long long registered
    @cython.locals(offset="unsigned long long", unit="unsigned long long", found="unsigned long long", region="long long")
    cdef long long of(self, size_t address, unsigned long long length) noexcept nogil
