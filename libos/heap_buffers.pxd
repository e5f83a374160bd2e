cimport cython
from libos.fabric.buffers cimport Buffers
from libos.runtime.memory cimport Heap

@cython.final
cdef class HeapBuffers(Buffers):
    cdef public Heap heap
    cpdef size_t alloc(self, unsigned long long size) noexcept nogil
    cpdef void free(self, size_t address) noexcept nogil
