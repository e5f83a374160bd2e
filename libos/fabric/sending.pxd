cimport cython
from libos cimport raw
from libos.fabric cimport closing, structs
from libos.fabric.engine cimport Engine
from libos.fabric.structs cimport Connection, Item
from libos.net cimport linked

cdef int push(Engine t, size_t at, size_t address, long long length, unsigned long long token) noexcept nogil
cdef int push_at_once(Engine t, size_t at, size_t address, long long length) noexcept nogil
cdef bint finished(Engine t, size_t at, size_t result) noexcept nogil
cdef bint heard(Engine t, Connection *c, unsigned long long granted, unsigned long long done) noexcept nogil
cdef bint look(Engine t, Connection *c) noexcept nogil
@cython.locals(n="long long", result=int)
cdef int send_pushes(Engine t, Connection *c) noexcept nogil
@cython.locals(small=bint, where=bint, last=bint, questions="long long", flags="unsigned int", region="long long")
cdef int send_one(Engine t, Connection *c, Item *push) noexcept nogil
cdef int send_end(Engine t, Connection *c) noexcept nogil
