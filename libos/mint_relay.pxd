cimport cython
from libos cimport calls, layout, leaving, raw, rings, spine

cdef long long PLAIN, STATED, PIECE
cdef unsigned long long AGREED, MARKED, LEFT, CLOSED, DEAF, RETURNED, HEARD, STATE
cdef size_t SAID, WINDOW, TOLD, WISH, WISHED, PEER, SIZE
cdef unsigned long long R_BROKEN, R_HEARD, R_SUSPECT, R_OWING, R_LATE

@cython.locals(offset=size_t)
cpdef void begin(size_t relay, unsigned long long peer) noexcept nogil
cpdef bint has(size_t relay, unsigned long long flag) noexcept nogil
cpdef void mark(size_t relay, unsigned long long flag) noexcept nogil
cpdef void unmark(size_t relay, unsigned long long flag) noexcept nogil
@cython.locals(own=size_t)
cdef unsigned long long quarter(size_t far) noexcept nogil
cdef unsigned long long head_of(size_t far) noexcept nogil
@cython.locals(inward=size_t, outward=size_t, flags="unsigned long long", tail="unsigned long long")
cdef unsigned long long flags_of(size_t relay, size_t far) noexcept nogil
@cython.locals(head="unsigned long long", wish="unsigned long long")
cdef void write(size_t relay, size_t far, size_t at, unsigned long long flags) noexcept nogil
@cython.locals(window="unsigned long long")
cdef long long state(size_t relay, size_t far, size_t at, unsigned long long flags) noexcept nogil
@cython.locals(far=size_t, flags="unsigned long long", window="unsigned long long", there="unsigned long long", head="unsigned long long")
cpdef long long next_message(size_t relay, size_t at) noexcept nogil
@cython.locals(wish="unsigned long long", told="unsigned long long", word=size_t, late=bint)
cdef bint taken(size_t relay, size_t far) noexcept nogil
cpdef void repay(size_t relay) noexcept nogil
@cython.locals(far=size_t, flags="unsigned long long")
cpdef bint arrived(size_t relay, size_t at, unsigned long long length) noexcept nogil
@cython.locals(header=size_t, known="unsigned long long")
cdef bint progressed(size_t far, unsigned long long head) noexcept nogil
@cython.locals(inward=size_t, outward=size_t)
cdef bint stated(size_t relay, size_t far, unsigned long long flags, unsigned long long position, unsigned long long window) noexcept nogil
@cython.locals(own=size_t)
cdef void settle(size_t relay) noexcept nogil
cdef void finished(size_t relay, size_t far) noexcept nogil
cdef void unread(size_t far) noexcept nogil
cdef void tell_all(size_t far) noexcept nogil
@cython.locals(header=size_t, tail="unsigned long long")
cdef bint deposit(size_t relay, size_t far, size_t at, unsigned long long count) noexcept nogil
@cython.locals(far=size_t, own=size_t, outward=size_t, whole=bint)
cpdef void lose(size_t relay) noexcept nogil
@cython.locals(word=size_t)
cpdef bint spine_spoke(size_t relay) noexcept nogil
@cython.locals(far=size_t)
cpdef bint done(size_t relay) noexcept nogil
