cimport cython
from libos cimport raw
from libos.blocks.block_device cimport BlockDevice

cdef class UringDevice(BlockDevice):
    cdef public size_t queue_at, submit_at, completion_at, close_at, register_at, scratch, fixed, fixed_end, ring
    cdef public unsigned long long fd, out
    cdef public long long queued, ring_fd, outcome
    cdef public unsigned long long finished
    @cython.locals(at=size_t)
    cdef bint ask(self, unsigned long long operation, unsigned long long tag, unsigned long long offset, size_t address, unsigned long long length, unsigned long long flags) noexcept nogil
    @cython.locals(flags="unsigned long long", address=size_t, length="unsigned long long")
    cpdef bint write(self, unsigned long long tag, unsigned long long offset, size_t vector, unsigned long long count, bint durable)
    cpdef bint read(self, unsigned long long tag, unsigned long long offset, size_t address, unsigned long long length)
    cpdef bint flush(self, unsigned long long tag)
    cpdef long long submit(self)
    @cython.locals(done="long long")
    cdef long long hand_over(self) noexcept nogil
    @cython.locals(tag="unsigned long long")
    cpdef unsigned long long completion(self)
    @cython.locals(result="unsigned long long")
    cdef unsigned long long taken(self) noexcept nogil
