cimport cython
from libos cimport raw
from libos.catmint cimport Catmint
from libos.fabric cimport structs
from libos.immediate cimport Immediate
from libos.runtime.memory cimport Heap
from libos.sgarray cimport SGArray

cdef long long SPIN, SELDOM

cdef class MessageQueue(Immediate):
    cdef public Catmint catmint
    cdef public Heap heap
    cdef public size_t at
    cdef public object rest
    cdef public bint reading, alone
    cdef bint first(self)
    cdef bint expects(self)
    cdef SGArray at_once(self)
    @cython.locals(result=size_t, sga=SGArray)
    cdef SGArray message(self)
    @cython.locals(size="long long", place=size_t)
    cdef long long put_at_once(self, SGArray sga) except *
    @cython.locals(began="long long", turns="long long", now="long long", sga=SGArray)
    cdef SGArray awaited(self)
