from libos.net cimport seq, structs
from libos.net.structs cimport Packet, Tcb
from libos.net.tcp cimport window
from libos.net.tcp.engine cimport Engine

cdef void agree(Engine t, Tcb *c, Packet *p) noexcept nogil
