cdef class Buffers:
    cdef public size_t base
    cdef public unsigned long long length
    cdef size_t alloc(self, unsigned long long size) noexcept nogil
    cdef void free(self, size_t address) noexcept nogil

cdef class PythonBuffers(Buffers):
    cdef size_t alloc(self, unsigned long long size) noexcept with gil
    cdef void free(self, size_t address) noexcept with gil
