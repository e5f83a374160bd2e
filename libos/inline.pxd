cimport cython
from libos.immediate cimport Immediate
from libos.operation cimport Guard, Result, Shared
from libos.sgarray cimport SGArray

cdef class Inline:
    cdef public Shared shared
    cdef public Guard lock
    cdef public unsigned long long inlined, blocked, awaited_ones
    @cython.locals(queue=object)
    cdef Immediate immediate(self, object qd)
    @cython.locals(found=Immediate, size="long long")
    cpdef push(self, qd, sga)
    @cython.locals(queue=Immediate, element=SGArray)
    cpdef pop(self, qd, size=*)
    @cython.locals(qtoken=object)
    cdef object expected(self, Immediate queue, object size)
    @cython.locals(result=Result, qtoken=object)
    cdef object at_its_end(self, object opcode, long long qd, long long value, object sga)
    @cython.locals(queue=Immediate, line=list, element=SGArray)
    cdef object awaited(self, object operation)
    cpdef wait(self, qtoken, timeout=*)
