cimport cython
from libos cimport raw
from libos.fabric cimport structs
from libos.fabric.engine cimport Engine
from libos.fabric.fabric cimport Fabric
from libos.fabric.machine cimport Machine
from libos.heap_buffers cimport HeapBuffers

cdef long long BURST, SELDOM

@cython.final
cdef class Catmint:
    cdef public Fabric fabric
    cdef public HeapBuffers buffers
    cdef public Engine engine
    cdef public Machine machine
    cdef public size_t completions, result
    cdef public long long turns, now
    @cython.locals(n="long long")
    cpdef bint turn(self) noexcept nogil
    cpdef void flush(self) noexcept nogil
    @cython.locals(due="long long", other="long long")
    cpdef long long deadline(self, long long now) noexcept nogil
