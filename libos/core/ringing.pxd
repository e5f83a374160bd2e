cimport cython
from libos cimport calls, endpoint, leaving, raw, rings
from libos cimport layout as ends
from libos.core cimport driving, layout
from libos.core.table cimport Table

cdef long long MILLISECOND

@cython.locals(found="long long", queue=size_t, end=size_t)
cdef long long look(Table table) noexcept nogil
cdef long long added(long long found, long long more) noexcept nogil
cdef long long looked(Table table, size_t queue, size_t line, int ready) noexcept nogil
@cython.locals(bell="unsigned long long", queue=size_t, end=size_t, limit="long long")
cdef long long doze(Table table) noexcept nogil
@cython.locals(outbound=bint)
cdef bint armed(size_t queue, size_t end, unsigned long long bell) noexcept nogil
cdef void rouse(Table table) noexcept nogil
@cython.locals(at=size_t)
cdef void heard(Table table, long long fd) noexcept nogil
