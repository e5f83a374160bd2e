from libos.net cimport output, routes, seq, structs
from libos.net.structs cimport Packet
from libos.net.tcp cimport closing, flight, sender
from libos.net.tcp.engine cimport Engine

cdef void error(Engine t, Packet *q, unsigned int what, bint hard) noexcept nogil
cdef void smaller(Engine t, Packet *q) noexcept nogil
