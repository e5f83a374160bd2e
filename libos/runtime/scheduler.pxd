cimport cython
from libos.runtime cimport resume
from libos.runtime.wakers cimport Wakers

@cython.final
cdef class Scheduler:
    cdef public Wakers application, background, fast_path
    cdef public list applications, backgrounds, fast_paths
    cdef public object on_error
    cdef public unsigned long long steps
    cpdef void wake(self, int kind, unsigned long long slot)
    @cython.locals(slot="long long")
    cpdef bint run_one(self, bint idle)
    @cython.locals(done="unsigned long long")
    cpdef unsigned long long run(self, unsigned long long limit, bint idle=*)
    @cython.locals(yielded=object)
    cdef bint step(self, Wakers wakers, list coroutines, unsigned long long slot)
