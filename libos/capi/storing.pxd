cimport cython
from libos cimport calls, raw
from libos.capi cimport process
from libos.capi cimport layout as c
from libos.core cimport driving, layout, logs

cdef int OPEN, UNLINK, RENAME, LSEEK, BOUNDS, TRUNCATE, FTRUNCATE, NAMES, LARGEST

@cython.locals(r="long long")
cdef long long asked(int what, long long a, long long b, long long d, long long e) noexcept nogil
cdef long long carried_out(int what, long long a, long long b, long long d, long long e) noexcept with gil
@cython.locals(queue=size_t)
cdef long long asked_of(int what, int qd, long long a, long long b, long long d) noexcept nogil
@cython.locals(r="long long")
cdef int open(size_t qd_out, size_t name, int flags) noexcept nogil
cdef int unlink(size_t name) noexcept nogil
cdef int rename(size_t old, size_t new) noexcept nogil
cdef int names(size_t prefix, size_t to, size_t room, size_t size_out) noexcept nogil
cdef int lseek(int qd, long long offset, int whence, size_t offset_out) noexcept nogil
cdef int bounds(int qd, size_t first_out, size_t end_out) noexcept nogil
cdef int truncate(int qd, long long offset) noexcept nogil
cdef int ftruncate(int qd, long long length) noexcept nogil
@cython.locals(at=size_t, operation=size_t, r=int)
cdef int pread(size_t qt_out, int qd, size_t size, long long offset) noexcept nogil
