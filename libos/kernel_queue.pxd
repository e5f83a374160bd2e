from libos cimport calls
from libos cimport raw
from libos.queue cimport Queue

cdef class KernelQueue(Queue):
    pass
