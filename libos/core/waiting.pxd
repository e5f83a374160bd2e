cimport cython
from libos cimport calls, raw
from libos.core cimport driving, layout, logs, loops, ringing
from libos.core.table cimport Table

cdef int EVENTS, SELDOM, RARELY, VERY_RARELY, PATIENT

@cython.locals(rotation=size_t, i="unsigned long long", left="unsigned long long", operation=size_t)
cdef long long claim(Table table, size_t qtokens, unsigned long long count) noexcept nogil
@cython.locals(number="unsigned long long", operation=size_t)
cdef long long claim_next(Table table) noexcept nogil
cdef long long claimed(Table table, size_t qtokens, unsigned long long count) noexcept nogil
@cython.locals(began="long long", now="long long", r="long long", spin="long long", turns="unsigned long long")
cpdef long long wait(Table table, size_t qtokens, unsigned long long count, long long timeout) noexcept nogil
cdef void finish(Table table, size_t operation) noexcept nogil
cdef void leave(Table table) noexcept nogil
cdef void attend(Table table) noexcept nogil
@cython.locals(
    at=size_t, n="long long", r="long long", i="long long", pushed="long long", messaging="unsigned long long"
)
cdef long long look(Table table, bint patient) noexcept nogil
@cython.locals(qd="unsigned long long")
cdef void tell(Table table, size_t event) noexcept nogil
@cython.locals(number="unsigned long long", watching=bint, limit="long long", at=size_t, until=size_t, n="long long")
cdef void sleep(Table table, size_t qtokens, unsigned long long count, long long timeout, long long began) noexcept nogil
cdef void rouse(Table table) noexcept nogil
@cython.locals(operation=size_t)
cdef bint claimable(Table table, size_t qtokens, unsigned long long count) noexcept nogil
@cython.locals(left="long long")
cdef size_t remaining(size_t at, long long timeout, long long began, long long limit) noexcept nogil
