cimport cython
from libos.native_function cimport NativeFunction
from libos.sgarray cimport SGArray

cdef class Immediate:
    cdef public tuple waiting
    cdef public long long qd, origin
    cdef SGArray at_once(self)
    cdef long long put_at_once(self, SGArray sga) except *
    cdef bint expects(self)
    cdef SGArray awaited(self)

cdef class Passage(Immediate):
    cdef public Immediate source
    cdef public NativeFunction native
    cdef public object elements, failed
    cdef public list sources
    @cython.locals(sga=SGArray, passed=SGArray)
    cdef SGArray at_once(self)
