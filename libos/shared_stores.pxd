from libos cimport calls, raw
from libos.core cimport logs
from libos.core.log_lines cimport LogLines
from libos.core.table cimport Table

cdef class SharedStores(LogLines):
    cdef public object store, over, thread
    cdef brought(self, opened, operation, data)
