cimport cython
from libos cimport raw
from libos.log cimport checksum, group, layout
from libos.log.volume cimport Volume

cdef int RESERVE, BOOKED

@cython.final
cdef class Straight:
    cdef public Volume volume
    cdef public size_t lines, rooms, marks, vector, book
    cdef public unsigned long long bound, block, identity, filling, count, reserved, used, next, number, done, written, noted
    cdef public unsigned long long groups, entries
    cdef public long long flying_size, flying_count
    cdef public bint open
    cpdef begin(self)
    cpdef end(self)
    cpdef size_t line(self, unsigned long long i) noexcept nogil
    @cython.locals(at=size_t, length="unsigned long long", where="unsigned long long")
    cdef read_book(self)
    @cython.locals(at=size_t)
    cdef void note(self, unsigned long long i, unsigned long long length, unsigned long long where) noexcept nogil
    cpdef size_t room(self) noexcept nogil
    cdef unsigned long long rounded(self, unsigned long long size) noexcept nogil
    @cython.locals(size="unsigned long long")
    cpdef long long place(self, unsigned long long length, unsigned long long expected) noexcept nogil
    @cython.locals(room=size_t, line=size_t, at=size_t, crc="unsigned int", number="unsigned int", offset="unsigned long long")
    cpdef void put(self, unsigned long long i, unsigned long long place, unsigned long long length) noexcept nogil
    @cython.locals(at=size_t, size="unsigned long long", rest=size_t, sequence="unsigned long long", previous="unsigned long long", following="unsigned long long", segment="unsigned long long", blocks="unsigned long long", place="unsigned long long")
    cpdef unsigned long long sealed(self) noexcept nogil
    cpdef void over(self, long long result) noexcept nogil
    cpdef void refuse(self) noexcept nogil
    cdef void turn(self) noexcept nogil
    @cython.locals(at=size_t, length="unsigned long long", line=size_t)
    cdef void fail(self, unsigned long long room, unsigned long long count) noexcept nogil
