cimport cython

@cython.final
cdef class Suspension:
    cdef public object word
    cdef bint given
