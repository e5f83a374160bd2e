cimport cython
from libos.net cimport host as hosts, octets, seq, structs
from libos.net.host cimport Host
from libos.net.structs cimport Path, Route

@cython.locals(best=int, direct=bint, known="unsigned int")
cpdef bint find(Host host, unsigned long long high, unsigned long long low) noexcept nogil
cdef Path *path_of(Host host, unsigned long long high, unsigned long long low) noexcept nogil
cpdef bint learn_mtu(Host host, unsigned long long high, unsigned long long low, unsigned int mtu) noexcept nogil
cdef void copy_gateway(Host host, Route *r) noexcept nogil
cdef long long PATH_LIFE
