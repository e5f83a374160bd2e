cimport cython
from libos cimport calls, raw, rings
from libos.core cimport layout
from libos.core.transport cimport Transport
from libos.runtime cimport wakers
from libos.runtime.memory cimport Heap

@cython.final
cdef class Table:
    cdef public Heap heap
    cdef public object loops, stores
    cdef public Transport transport
    cdef public size_t head, operations, queues, waiters
    @cython.locals(epoll="long long", bell="long long")
    cpdef long long open(self) noexcept nogil
    cpdef void close(self) noexcept nogil
    cdef long long epoll(self) noexcept nogil
    cdef long long bell(self) noexcept nogil
    cpdef void lock(self) noexcept nogil
    cpdef void unlock(self) noexcept nogil
    cdef void away(self) noexcept nogil
    cdef void back(self) noexcept nogil
    cpdef unsigned long long count(self, int counter) noexcept nogil
    @cython.locals(at=size_t)
    cdef void note(self, int counter, unsigned long long n) noexcept nogil
    @cython.locals(at=size_t)
    cpdef long long register(self, long long fd, unsigned int events, unsigned long long qd) noexcept nogil
    cpdef size_t at(self, unsigned long long number) noexcept nogil
    cdef unsigned long long number(self, size_t operation) noexcept nogil
    @cython.locals(at=size_t)
    cpdef size_t find(self, unsigned long long qtoken) noexcept nogil
    cpdef size_t record(self, unsigned long long qtoken) noexcept nogil
    @cython.locals(at=size_t, number="unsigned long long", generation="unsigned long long")
    cpdef size_t begin(self, unsigned int opcode, size_t queue) noexcept nogil
    cpdef void discard(self, size_t operation) noexcept nogil
    @cython.locals(number="unsigned long long", last="unsigned long long")
    cdef void link(self, size_t first, size_t operation) noexcept nogil
    @cython.locals(after="unsigned long long", before="unsigned long long")
    cpdef void unlink(self, size_t first, size_t operation) noexcept nogil
    cpdef void complete(self, size_t operation, long long result) noexcept nogil
    @cython.locals(number="unsigned long long", at=size_t)
    cdef unsigned long long fall_asleep(self, size_t qtokens, unsigned long long count) noexcept nogil
    cdef size_t waiter(self, unsigned long long number) noexcept nogil
    @cython.locals(operation=size_t, other="unsigned long long")
    cdef void mark(self, unsigned long long qtoken, unsigned long long number) noexcept nogil
    cdef bint sleeps(self, unsigned long long number) noexcept nogil
    @cython.locals(at=size_t)
    cdef void awake(self, unsigned long long number) noexcept nogil
    @cython.locals(at=size_t)
    cdef void wake(self, unsigned long long number) noexcept nogil
    cdef void tell(self, unsigned long long number) noexcept nogil
    @cython.locals(left="unsigned long long", number="unsigned long long")
    cdef void wake_first(self, size_t of_those, bint all_of_them) noexcept nogil
    cdef void wake_watcher(self) noexcept nogil
    @cython.locals(number="unsigned long long")
    cdef void leave(self) noexcept nogil
    cpdef void take(self, size_t operation) noexcept nogil
    cpdef void dismiss(self, size_t operation) noexcept nogil
    cdef void let_go(self, size_t operation) noexcept nogil
    cpdef size_t segments(self, size_t array) noexcept nogil
    @cython.locals(at=size_t, beside=size_t)
    cdef size_t room(self, size_t operation, unsigned long long count) noexcept nogil
    @cython.locals(noted="unsigned int", at=size_t, last=size_t)
    cdef void hold(self, size_t operation) noexcept nogil
    @cython.locals(at=size_t, last=size_t)
    cdef void release(self, size_t array) noexcept nogil
    @cython.locals(first=size_t, at=size_t)
    cdef void hand_over(self, size_t array) noexcept nogil
    @cython.locals(buffer=size_t)
    cdef bint repeated(self, size_t first, size_t at) noexcept nogil
    @cython.locals(at=size_t, last=size_t, total="unsigned long long")
    cdef unsigned long long length(self, size_t array) noexcept nogil
    @cython.locals(number="long long", at=size_t)
    cpdef size_t queue_of(self, long long qd) noexcept nogil
    @cython.locals(number="unsigned long long", at=size_t, qd="unsigned long long")
    cpdef size_t add_queue(self, int kind) noexcept nogil
    @cython.locals(number="unsigned long long")
    cpdef void remove_queue(self, size_t queue) noexcept nogil
