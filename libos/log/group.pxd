cimport cython
from libos cimport raw
from libos.log cimport layout
from libos.log cimport checksum

cdef unsigned long long SEED

@cython.final
cdef class Entry:
    cdef public unsigned int kind, number, crc, place
    cdef public unsigned long long offset, length
    cdef public size_t address
    cdef public object keep, parts, failure
    cdef public bint done

@cython.final
cdef class Group:
    cdef public size_t head, tails, vector, zeros
    cdef public unsigned long long room, block, align, volume, head_size
    cdef public unsigned int count, pieces, blocks
    cdef bint large(self, Entry entry)
    cdef unsigned long long rounded(self, unsigned long long size)
    @cython.locals(entry=Entry, n="unsigned long long", small="unsigned long long", outside="unsigned long long", large="unsigned long long", more_small="unsigned long long", more_outside="unsigned long long", more_large="unsigned long long", head="unsigned long long", total="unsigned long long")
    cpdef unsigned long long choose(self, entries, unsigned long long room) except? 0
    @cython.locals(entry=Entry, i="unsigned long long", small="unsigned long long", at=size_t, place="unsigned long long", far="unsigned long long", tails=size_t, whole="unsigned long long", rest="unsigned long long", to=size_t)
    cpdef fill(self, entries, unsigned long long n)
    cdef void piece(self, size_t address, unsigned long long size)
    cpdef seal(self, unsigned long long sequence, unsigned long long previous, unsigned int following, unsigned int segment, unsigned int offset)

cdef void record(size_t at, unsigned int kind, unsigned int number, unsigned long long offset, unsigned int length, unsigned int crc, unsigned int place) noexcept nogil
@cython.locals(size="unsigned int")
cdef void seal(size_t at, unsigned int count, unsigned int blocks, unsigned long long volume, unsigned long long sequence, unsigned long long previous, unsigned int following, unsigned int segment, unsigned int offset) noexcept nogil
