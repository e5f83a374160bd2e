cimport cython
from interpose cimport abi, kept, linux
from libos cimport group_commit, raw
from libos.group_commit cimport GroupCommit
from libos.log cimport layout
from libos.log.straight cimport Straight
from libos.runtime cimport wakers

cdef unsigned int WHAT, TIMES
cdef int X_INODE, X_SIZE, X_CHANGED, X_WRITTEN, X_DEVICE, VECTOR, LOOKED_AT, EMPTY, SCRATCH, AGAIN
cdef unsigned long long SECOND, STRETCH

@cython.final
cdef class Syncing:
    cdef public GroupCommit commit
    cdef public Straight straight
    cdef public bint ready
    cdef public unsigned long long many, room, piece, tick, device, forks
    cdef public size_t forks_at, touched, records, sequential, scratch
    cdef public unsigned long long found, group, early, ahead

cdef Syncing HERE

@cython.locals(r="long long", number="unsigned long long", line=size_t, early="unsigned long long", ahead="unsigned long long", reader="unsigned long long")
cpdef long long sync(int fd, int data_only) noexcept nogil
@cython.locals(found=size_t, what="unsigned int", inode="unsigned long long", size="unsigned long long", i="unsigned long long", at=size_t, line=size_t, end="unsigned long long", begun=bint, length="unsigned long long", place="long long")
cdef long long joined(int fd, int data_only) noexcept nogil
@cython.locals(flags=long, access=long)
cpdef bint appends(int fd, unsigned long long inode) noexcept nogil
cpdef void follow(int fd, unsigned long long inode) noexcept nogil
cpdef bint follows(int fd, unsigned long long inode) noexcept nogil
cpdef void look_at_forks() noexcept nogil
cpdef unsigned long long read(size_t at) noexcept nogil
cpdef void write(size_t at, unsigned long long value) noexcept nogil
@cython.locals(nanoseconds="unsigned long long")
cdef bint unchanged(size_t found, unsigned long long changed) noexcept nogil
@cython.locals(before="unsigned long long", vector=size_t, looked_at=size_t, fd=long, i="unsigned long long")
cdef bint fetched(size_t at, size_t to, unsigned long long end, unsigned long long length) noexcept nogil
@cython.locals(before="unsigned long long", stay="unsigned long long")
cdef void remember(size_t at, size_t new, unsigned long long length) noexcept nogil
