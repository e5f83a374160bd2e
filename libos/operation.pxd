cimport cython

@cython.final
@cython.freelist(64)
cdef class Result:
    cdef public object opcode, sga, address, error
    cdef public long long qd, value
    cdef public unsigned long long qtoken

@cython.final
cdef class Guard:
    cdef public object lock
    cdef public long depth

@cython.final
cdef class Shared:
    cdef public Guard lock
    cdef public dict queues, operations
    cdef public long long qd
    cdef public unsigned long long generation
    cdef public object scheduler, timers, devices, sleepers
    cpdef long long next_qd(self)
    cpdef unsigned long long next_qtoken(self, long long qd)
