cimport cython
from libos cimport calls, raw
from libos.core cimport layout, logs
from libos.core.log_lines cimport LogLines
from libos.core.table cimport Table
from libos.log.group cimport Entry
from libos.log.volume cimport Volume
from libos.log.straight cimport Straight

cdef class Stores(LogLines):
    cdef public Volume volume
    cdef public Straight straight
    cdef public object file, device, lines
    cdef append(self, opened, size_t operation, list parts)
    @cython.locals(operation=size_t, offset="unsigned long long", size="unsigned long long", memory=size_t)
    cdef pop(self, opened)
    cpdef settle(self, whole=*)
    cdef happened(self, event)
