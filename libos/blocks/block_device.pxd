cdef class BlockDevice:
    cdef public unsigned long long size, block, align, depth
    cdef public bint fua, write_through, patient
    cdef public long long result
    cpdef bint write(self, unsigned long long tag, unsigned long long offset, size_t vector, unsigned long long count, bint durable)
    cpdef bint read(self, unsigned long long tag, unsigned long long offset, size_t address, unsigned long long length)
    cpdef bint flush(self, unsigned long long tag)
    cpdef long long submit(self)
    cpdef unsigned long long completion(self)
