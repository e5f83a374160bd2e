cimport cython

cdef class Extent:
    cdef public unsigned long long segment, first, end, rest
    cdef public object starts, places

cdef class Log:
    cdef public unsigned long long number, head, end, given, users
    cdef public list extents
    cdef public object text

cdef class Catalog:
    cdef public dict logs, ends
    cdef public object names
    cdef public unsigned long long next_number
    cdef public list used
    cdef public set bad
    @cython.locals(log=Log)
    cpdef apply(self, unsigned int kind, unsigned long long number, unsigned long long offset, unsigned long long length, unsigned long long crc, unsigned long long place, unsigned long long segment, name)
    @cython.locals(last=Extent, extents=list)
    cpdef append(self, Log log, unsigned long long offset, unsigned long long length, unsigned long long segment, unsigned long long where)
