cimport cython
from libos cimport calls, raw
from libos.capi cimport process
from libos.capi cimport layout as c
from libos.core cimport channel, driving, layout, sockets

@cython.locals(at=size_t)
cdef int queue(size_t qd_out, int capacity) noexcept nogil
@cython.locals(r="long long")
cdef int socket(size_t qd_out, int domain, int kind, int protocol) noexcept nogil
@cython.locals(at=size_t)
cdef long long socket_of(int qd, bint stream) noexcept nogil
cdef bint is_socket(size_t queue) noexcept nogil
cdef bint named(size_t address, unsigned int size) noexcept nogil
cdef bint named_for(size_t queue, size_t address, unsigned int size) noexcept nogil
@cython.locals(at="long long", r="long long")
cdef int bind(int qd, size_t address, unsigned int size) noexcept nogil
@cython.locals(at="long long", r="long long", state="unsigned long long")
cdef int listen(int qd, int backlog) noexcept nogil
cdef int close(int qd) noexcept nogil
cdef int getpeername(int qd, size_t address, size_t length) noexcept nogil
cdef int getsockname(int qd, size_t address, size_t length) noexcept nogil
@cython.locals(at="long long")
cdef int asked(int qd, long call, size_t address, size_t length) noexcept nogil
cdef int getsockopt(int qd, int level, int option, size_t value, size_t length) noexcept nogil
cdef int setsockopt(int qd, int level, int option, size_t value, unsigned int length) noexcept nogil
@cython.locals(at="long long")
cdef int set_or_get(long call, int qd, int level, int option, size_t value, size_t length) noexcept nogil
