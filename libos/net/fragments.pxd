cimport cython
from libos.net cimport octets, seq, structs
from libos.net.host cimport Host
from libos.net.structs cimport Fragments, Packet

cdef bint whole(Host host, Packet *p) noexcept nogil
cdef Fragments *entry(Host host, Packet *p) noexcept nogil
cdef void forget(Host host, Fragments *f) noexcept nogil
@cython.locals(taken=bint, free=bint, i="long long")
cdef int mark(Fragments *f, long long first, long long last) noexcept nogil
cdef void poll(Host host) noexcept nogil
cdef long long LIFE, BUFFER
