cimport cython
from interpose cimport abi, description, interest, linux, sets, spinning, watching
from interpose.stream cimport Stream
from libos cimport calls, driver, endpoint, layout, leaving, raw, records, rings, spine
from libos.loop_queue cimport LoopQueue
from libos.runtime cimport instrument

cdef int PATIENCE

cdef bint INTERPRETED

cdef class LoopStream(Stream):
    cdef public size_t end
    cdef public LoopQueue loop
    cdef public bint orphaned
    cdef public long long receive_timeout, send_timeout
    cdef public int shut
    cdef public unsigned long long misses
    cpdef bint close_number(self, int number) except -1
    cdef long long connect(self, size_t address, unsigned int length, size_t qt) noexcept nogil
    @cython.locals(count=size_t, slept="unsigned long long")
    cdef long long block(self, int kind, size_t qt) noexcept nogil
    @cython.locals(turns=int, r="long long")
    cdef long long shutdown(self, int how) noexcept nogil
    @cython.locals(header=size_t)
    cdef void deafen(self) noexcept nogil
    cdef long long ended(self) noexcept nogil
    cdef long long leave(self) noexcept nogil
    cdef bint blocks(self) noexcept nogil
    cdef bint due(self) noexcept nogil
    cdef long long recv_plain(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef bint ringed(self) noexcept nogil
    cdef bint looks_further(self, unsigned long long done, unsigned long long need, int flags) noexcept nogil
    cdef int asking(self, int flags, size_t qt) noexcept nogil
    cdef bint over(self, size_t qt) noexcept nogil
    cdef long long shown(self, size_t address, long long count) noexcept nogil
    @cython.locals(limit="long long", turns="unsigned long long")
    cdef bint spun(self, int mask, size_t qt) noexcept nogil
    cdef bint sleeps(self) noexcept nogil
    cdef long long again(self, int mask, size_t qt, int flags, long long r) noexcept nogil
    cdef long long doze(self, int mask, size_t qt, long long timeout) noexcept nogil
    @cython.locals(need="unsigned long long", done="unsigned long long", r="long long")
    cdef long long recv(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    @cython.locals(done="unsigned long long", r="long long")
    cdef long long send(self, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
    cdef unsigned long long needed(self, unsigned long long size, int flags) noexcept nogil
    @cython.locals(size="long long", need="unsigned long long", done="unsigned long long", r="long long")
    cdef long long recvmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    @cython.locals(size="long long", done="unsigned long long", r="long long")
    cdef long long sendmsg(self, size_t message, int flags, size_t qt) noexcept nogil
    @cython.locals(staged=size_t, done="unsigned long long", at="long long", part="unsigned long long", r="long long")
    cdef long long staged(self, int in_fd, size_t offset, unsigned long long size, size_t qt) noexcept nogil
