cimport cython
from libos cimport raw
from libos.fabric cimport closing, sending, structs
from libos.fabric.engine cimport Engine
from libos.fabric.structs cimport Connection, Header, Item
from libos.net cimport linked

cdef bint message(Engine t, Connection *c, Item *i, Header *h) noexcept nogil
cdef bint news(Connection *c) noexcept nogil
cdef bint ready(Connection *c) noexcept nogil
@cython.locals(total="unsigned long long")
cdef unsigned long long pending(Connection *c) noexcept nogil
cdef int pop(Engine t, size_t at, size_t result) noexcept nogil
@cython.locals(small=size_t)
cdef void hand_over(Engine t, Item *i, size_t result) noexcept nogil
@cython.locals(result=int)
cdef int read_unread(Engine t, Connection *c) noexcept nogil
@cython.locals(region="long long")
cdef int read_one(Engine t, Connection *c, Item *i) noexcept nogil
cdef void was_read(Engine t, Connection *c, Item *i) noexcept nogil
@cython.locals(share="long long")
cdef long long fair(Engine t, Connection *c) noexcept nogil
@cython.locals(out="long long", quota="long long", more="long long", n="long long")
cdef int give(Engine t, Connection *c) noexcept nogil
@cython.locals(n="unsigned int", flags="unsigned int")
cdef int answer(Engine t, Connection *c) noexcept nogil
cdef int report(Engine t, Connection *c) noexcept nogil
cdef void replied(Engine t, Connection *c, Header *h) noexcept nogil
cdef bint credited(Engine t, Connection *c, Header *h) noexcept nogil
