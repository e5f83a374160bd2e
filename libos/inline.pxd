cimport cython
from libos.immediate cimport Immediate
from libos.memory_queue cimport MemoryQueue
from libos.operation cimport Guard, Result, Shared
from libos.sgarray cimport SGArray

cdef class Inline:
    cdef public Shared shared
    cdef public Guard lock
    cdef public unsigned long long inlined
    @cython.locals(queue=object)
    cdef Immediate immediate(self, object qd)
    @cython.locals(found=Immediate, queue=MemoryQueue, array=SGArray, size="long long")
    cpdef push(self, qd, sga)
    @cython.locals(queue=Immediate, element=SGArray)
    cpdef pop(self, qd, size=*)
    @cython.locals(result=Result, qtoken=object)
    cdef object at_its_end(self, object opcode, long long qd, long long value, object sga)
    cpdef wait(self, qtoken, timeout=*)
