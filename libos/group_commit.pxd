cimport cython
from libos cimport calls, raw
from libos.log.straight cimport Straight
from libos.runtime.memory cimport Heap

cdef int INSIDE, CLAIMED, TURN, SLEEPERS, WRITING, DOOR, ROOM, LIMIT, ALL

@cython.final
cdef class GroupCommit:
    cdef public Heap heap
    cdef public size_t words, turn_at
    cdef public Straight straight
    cdef public long fd, flags
    cdef public unsigned long long largest
    cpdef void claim(self) noexcept nogil
    cpdef unsigned int turned(self) noexcept nogil
    cpdef bint alone(self) noexcept nogil
    cpdef void release(self) noexcept nogil
    @cython.locals(seen="unsigned int")
    cpdef void enter(self) noexcept nogil
    cpdef void leave(self) noexcept nogil
    cdef unsigned long long inside(self) noexcept nogil
    cpdef void lock(self) noexcept nogil
    cpdef void unlock(self) noexcept nogil
    cdef void sleep(self, unsigned int seen) noexcept nogil
    cdef void turn(self) noexcept nogil
    @cython.locals(seen="unsigned int")
    cpdef void committed(self, unsigned long long number) noexcept nogil
    @cython.locals(place="unsigned long long", result=long)
    cdef void write(self) noexcept nogil
    cdef bint limited(self) noexcept nogil
