cimport cython
from libos cimport calls, endpoint, leaving, raw, rings
from libos cimport layout as ends
from libos.core cimport driving, layout, loops
from libos.core.table cimport Table

cdef long long MILLISECOND

@cython.locals(found="long long", near=size_t, last=size_t)
cdef long long look(Table table) noexcept nogil
@cython.locals(found="long long", queue=size_t)
cdef long long look_at_all(Table table) noexcept nogil
@cython.locals(end=size_t)
cdef long long look_at(Table table, size_t queue, long long found) noexcept nogil
@cython.locals(found="long long", pair=size_t, area=size_t)
cdef long long drain(Table table) noexcept nogil
@cython.locals(found="long long", summary="unsigned long long", i="unsigned int", soiled="unsigned long long", end=size_t, queue=size_t)
cdef long long drain_pair(Table table, size_t pair, size_t area) noexcept nogil
@cython.locals(found="long long")
cdef long long go_on(Table table, size_t queue, size_t end) noexcept nogil
cdef long long added(long long found, long long more) noexcept nogil
cdef long long looked(Table table, size_t queue, size_t line, int ready) noexcept nogil
@cython.locals(bell="unsigned long long", queue=size_t, end=size_t, limit="long long")
cdef long long doze(Table table) noexcept nogil
@cython.locals(outbound=bint)
cdef bint armed(size_t queue, size_t end, unsigned long long bell) noexcept nogil
cdef void rouse(Table table) noexcept nogil
@cython.locals(at=size_t)
cdef void heard(Table table, long long fd) noexcept nogil
