cimport cython
from libos.core.table cimport Table
from libos.runtime.memory cimport Heap

cdef class Face:
    cdef public Table table

cdef Face FACE

cdef unsigned long long count(int counter) noexcept nogil
