cimport cython
from libos cimport calls, raw
from libos.blocks.uring cimport UringDevice
from libos.core cimport layout
from libos.core.table cimport Table
from libos.log.straight cimport Straight

cdef int NOBODY, THREAD, RING, TAG, URING_WRITE, LARGEST, MOST
cdef unsigned int NO_LINE

@cython.final
cdef class Logs:
    cdef public Straight straight
    cdef public UringDevice device
    cdef public long fd, flags
    cdef public size_t members, turn
    cdef public unsigned long long recent, tag
    cdef public long long result

cdef Logs HERE

cdef void start(Table table, size_t queue, size_t operation) noexcept nogil
@cython.locals(number="unsigned long long", operation=size_t, place="long long")
cdef void join(Table table, size_t queue) noexcept nogil
@cython.locals(first=size_t, queue=size_t, after=size_t)
cdef void join_all(Table table) noexcept nogil
@cython.locals(array=size_t, size="unsigned long long", line="unsigned long long", place="long long", to=size_t, at=size_t, last=size_t, member=size_t)
cdef long long joined(Table table, size_t queue, size_t operation) noexcept nogil
cdef size_t member_of(unsigned long long room, unsigned long long i) noexcept nogil
@cython.locals(found="long long")
cdef long long look(Table table, bint patient) noexcept nogil
cdef bint filled(Table table) noexcept nogil
@cython.locals(found="long long", tag="unsigned long long")
cdef long long heard(Table table) noexcept nogil
@cython.locals(place="unsigned long long", vector=size_t, r="long long")
cdef long long send(Table table, bint wait) noexcept nogil
@cython.locals(room="unsigned long long", count="long long", size="long long", i="long long", member=size_t, operation=size_t)
cdef long long over(Table table, long long result) noexcept nogil
@cython.locals(queue=size_t)
cdef void again(Table table) noexcept nogil
@cython.locals(queue=size_t)
cpdef void end(Table table, size_t operation, long long result) noexcept nogil
@cython.locals(i="unsigned long long", member=size_t, operation=size_t, waiter="unsigned long long")
cdef void passed_on(Table table) noexcept nogil
cpdef void want(Table table) noexcept nogil
cdef void attend(Table table) noexcept nogil
@cython.locals(writing="unsigned long long")
cpdef void claim(Table table) noexcept nogil
cdef void others(Table table) noexcept nogil
cpdef void release(Table table) noexcept nogil
cdef void turn(Table table) noexcept with gil
@cython.locals(queue=size_t)
cdef bint claim_of(Table table, long long qd) noexcept nogil
cdef void closed(Table table, unsigned long long qd) noexcept nogil
cdef void forget(Table table, unsigned long long qd) noexcept with gil
@cython.locals(queue=size_t)
cpdef size_t add(Table table, unsigned long long line) noexcept nogil
@cython.locals(at=size_t)
cdef void part(Table table, size_t queue) noexcept nogil
cpdef use(Table table, Straight straight, UringDevice device, long fd, long flags, size_t members)
cpdef share(Table table)
cdef void forked(Table table) noexcept nogil
