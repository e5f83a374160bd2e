cimport cython
from libos cimport ancillary, calls, postbox, raw, relay
from libos.net cimport host as hosts, octets, seq, structs, udp_user
from libos.net.structs cimport Datagram, Udp
from libos.net.udp cimport Sockets

cdef unsigned long long LETTERS, IPV6
cdef int TOLD, OWN_KEY, ERROR, OWN, DATAGRAM, TRIES, MANY, LOCK, MESSAGE, SEGMENTS, NAME, SCRATCH, OURS, RECORD, LETTER
cdef long long MOST, ROOM, SIZE

cdef class Letters:
    cdef public size_t at
    cdef public unsigned long long key
    cdef public int addresses
    @cython.locals(i=int, at=size_t)
    cdef bint mine(self, unsigned long long high, unsigned long long low) noexcept nogil
    cdef public Sockets nobody
    @cython.locals(turns=int)
    cdef void hold(self) noexcept nogil
    cdef void leave(self) noexcept nogil

cdef Letters HERE

cpdef unsigned long long word(unsigned int port, unsigned int family, unsigned int options) noexcept nogil
cpdef unsigned long long of_post(unsigned long long fd) noexcept nogil
cpdef bint is_letters(unsigned long long post) noexcept nogil
@cython.locals(u="Udp *")
cdef Udp *record(unsigned long long post) noexcept nogil
@cython.locals(r="long long")
cpdef long long receive(int fd, unsigned long long post, bint away, size_t message, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(asked=size_t, letter=size_t, r="long long")
cdef long long opened(int fd, unsigned long long post, bint away, size_t message, size_t address, unsigned long long size, int flags) noexcept nogil
@cython.locals(letter=size_t, u="Udp *", own="unsigned int")
cdef long long read(unsigned long long post, size_t message, size_t address, unsigned long long size, int flags, long long length) noexcept nogil
@cython.locals(letter=size_t, asked=size_t, r="long long", cut="unsigned int")
cdef long long copied(size_t message, size_t address, long long size, int flags, long long length) noexcept nogil
@cython.locals(r="long long", tries=int)
cpdef long long send(int fd, unsigned long long post, size_t message, size_t address, long long size, size_t name) noexcept nogil
cpdef int error(int fd) noexcept nogil
@cython.locals(letter=size_t, size="long long", r="long long")
cdef int told(int fd) noexcept nogil
@cython.locals(letter=size_t, r="long long", found=bint)
cpdef long long before(int fd) noexcept nogil
@cython.locals(at=size_t, length="long long", named=int)
cdef long long posted(int fd, unsigned long long post, long long size) noexcept nogil
@cython.locals(letter=size_t, payload=size_t, u="Udp *", d="Datagram *", ipv4=bint, r="long long")
cdef long long written(unsigned long long post, size_t message, size_t address, long long size, size_t name) noexcept nogil
@cython.locals(u="Udp *", d="Datagram *", fd=int, area=size_t, flags=int, r="long long")
cpdef void deliver(Sockets s, size_t at) noexcept nogil
@cython.locals(at=size_t)
cdef void envelope(unsigned int error, unsigned int own) noexcept nogil
@cython.locals(at=size_t, size="long long")
cdef void report(int fd, int error) noexcept nogil
@cython.locals(letter=size_t, r="long long")
cpdef long long collect(Sockets s, size_t at, int fd) noexcept nogil
@cython.locals(d="Datagram *", payload=size_t, r="long long")
cpdef long long again(Sockets s, size_t at, int fd) noexcept nogil
