cimport cython
from libos cimport layout, leaving, raw, rings, spine
from libos.loop_queue cimport LoopQueue
from libos.records cimport Records

cdef class Catloop:
    cdef public unsigned long long worth
    cdef public object qtokens, heap, family, steps, meet
    cdef public set queues, shares, shared
    cdef public list waited_for
    cdef public Records records
    cdef public long next_qd
    cpdef LoopQueue adopt(self, int fd, int kind)
    @cython.locals(end=size_t, qd=long, queue=LoopQueue)
    cpdef LoopQueue over(self, int fd)
    cpdef attend(self, LoopQueue queue, bint may_agree)
    @cython.locals(end=size_t, unread=bint, i=int)
    cpdef release(self, LoopQueue queue)
    cpdef freed(self, LoopQueue queue)
    cpdef give_back(self)

@cython.locals(left="unsigned long long")
cdef bint strangers(size_t end) noexcept
