cimport cython
from interpose cimport abi, arming, blocks, linux, sets
from interpose.description cimport Description
from libos cimport driver, endpoint, layout, leaving, raw, rings
from libos.runtime cimport wakers


cdef int ENOENT, EEXIST

@cython.locals(r="long long")
cdef long long control(Description d, unsigned long long ep, int op, unsigned long long fd, size_t event) noexcept nogil
@cython.locals(block=size_t, entry=size_t, events="unsigned long long", asked="unsigned long long", unseen=int, r="long long")
cdef long long control_locked(unsigned long long ep, int op, unsigned long long fd, size_t end, size_t event) noexcept nogil
cdef unsigned long long special(unsigned long long events) noexcept nogil
cdef bint lazily(size_t block, size_t entry, int op, unsigned long long asked, unsigned long long events, size_t event) noexcept nogil
cdef void show(size_t block, size_t entry) noexcept nogil
@cython.locals(entry=size_t)
cpdef void show_hidden(size_t end, long long fd) noexcept nogil
@cython.locals(i="unsigned long long", entry=size_t)
cdef void show_all(size_t block) noexcept nogil
@cython.locals(ep="unsigned long long")
cpdef void show_all_sets() noexcept nogil
@cython.locals(block=size_t)
cdef size_t new_block(unsigned long long ep) noexcept nogil
@cython.locals(block=size_t)
cdef size_t waited_for(unsigned long long ep) noexcept nogil
cdef unsigned long long asked_of(size_t end, unsigned long long wanted) noexcept nogil
@cython.locals(bell="unsigned long long")
cdef void tell_waiters(size_t block, size_t end, int unseen) noexcept nogil
cdef void keep_plain(size_t end) noexcept nogil
@cython.locals(block=size_t, i="unsigned long long", entry=size_t)
cpdef void nested(unsigned long long ep) noexcept nogil
@cython.locals(at=size_t)
cdef long long tell_kernel(unsigned long long ep, int op, unsigned long long fd, unsigned long long events, unsigned long long data) noexcept nogil
@cython.locals(entry=size_t)
cdef size_t find(size_t block, unsigned long long fd, size_t end) noexcept nogil
@cython.locals(entry=size_t, count="unsigned long long")
cdef size_t make(size_t block, size_t end, unsigned long long fd) noexcept nogil
@cython.locals(bucket=size_t)
cdef void fill(size_t block, size_t entry, unsigned long long events, unsigned long long asked, unsigned long long data) noexcept nogil
cdef size_t bucket_of(size_t block, unsigned long long data) noexcept nogil
@cython.locals(at=size_t)
cdef void out_of_bucket(size_t block, size_t entry) noexcept nogil
@cython.locals(end=size_t, at=size_t)
cdef void remove(size_t block, size_t entry) noexcept nogil
@cython.locals(entry=size_t, following=size_t, block=size_t)
cdef void forget(Description d) noexcept nogil
@cython.locals(block=size_t)
cpdef void copied(unsigned long long ep, unsigned long long to) noexcept nogil
@cython.locals(ep="unsigned long long")
cdef unsigned long long other_number(size_t block) noexcept nogil
@cython.locals(block=size_t, i="unsigned long long", entry=size_t)
cpdef void forget_set(unsigned long long ep) noexcept nogil
cdef void put(size_t event, unsigned long long have, unsigned long long data) noexcept nogil
