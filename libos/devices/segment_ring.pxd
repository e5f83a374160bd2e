cimport cython
from libos cimport calls, raw
from libos.devices cimport layout

@cython.final
cdef class Ring:
    cdef public size_t base, mine
    cdef public unsigned long long port, slots, shift, stride, largest, head, looks, stuck_at, torn, lost, rung
    cdef public long socket
    cdef public long long stuck_since
    cdef size_t record(self, unsigned long long port) noexcept nogil
    @cython.locals(ring=size_t)
    cpdef size_t slot(self, unsigned long long port, unsigned long long position) noexcept nogil
    cdef unsigned long long turn(self, unsigned long long position) noexcept nogil
    cdef bint up(self, unsigned long long port) noexcept nogil
    @cython.locals(record=size_t, known=size_t, tries="unsigned int", tail="unsigned long long", used="long long", slot=size_t, beside="unsigned long long")
    cdef bint put(self, unsigned long long port, size_t address, unsigned long long length) noexcept nogil
    @cython.locals(name=size_t)
    cdef void ring(self, unsigned long long port) noexcept nogil
    cdef bint filled(self) noexcept nogil
    @cython.locals(slot=size_t, word="unsigned long long", length="unsigned long long")
    cdef unsigned long long get(self, size_t place) noexcept nogil
    cdef unsigned long long sender(self) noexcept nogil
    cdef void release(self) noexcept nogil
    cdef void nothing(self) noexcept nogil
    @cython.locals(record=size_t, ahead="long long", now="long long")
    cdef long long mend(self) noexcept nogil
    @cython.locals(intent="unsigned long long", port="unsigned long long")
    cdef bint taken_by_the_living(self) noexcept nogil
    @cython.locals(name=size_t, probe=long, refused=bint)
    cdef bint lives(self, unsigned long long port) noexcept nogil
