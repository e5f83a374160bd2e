from libos cimport layout, raw
from libos.net cimport structs
from libos.net.structs cimport Udp

cdef set_number(Udp *u, str name, value)
