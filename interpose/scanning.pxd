cimport cython
from interpose cimport blocks, interest, linux, sets
from libos cimport endpoint, layout, leaving, raw, rings, spine

cdef unsigned long long ALWAYS

@cython.locals(start="unsigned long long", found="unsigned long long")
cdef unsigned long long scan(size_t block, size_t events, unsigned long long n) noexcept nogil
@cython.locals(top="unsigned long long", bits="unsigned long long", word="unsigned long long")
cdef unsigned long long scan_words(size_t block, unsigned long long first, unsigned long long last, size_t events, unsigned long long n, unsigned long long found) noexcept nogil
@cython.locals(at=size_t, bits="unsigned long long", i="unsigned long long", entry=size_t, have="unsigned long long", top=size_t, wanted="unsigned int")
cdef unsigned long long scan_word(size_t block, unsigned long long word, size_t events, unsigned long long n, unsigned long long found) noexcept nogil
cdef bint between(size_t end, unsigned int wanted) noexcept nogil
@cython.locals(i="unsigned long long", entry=size_t)
cdef void mark_every(size_t block) noexcept nogil
@cython.locals(end=size_t, wanted="unsigned long long", have="unsigned long long", ready=int, edge=bint)
cdef unsigned long long have_now(size_t block, size_t entry) noexcept nogil
@cython.locals(asked="unsigned long long")
cdef void masks(size_t block, size_t entry, size_t end, unsigned long long wanted) noexcept nogil
@cython.locals(at=size_t)
cdef void ask_kernel(size_t block, size_t entry, unsigned long long events) noexcept nogil
@cython.locals(word=size_t)
cdef int wait_for_room(size_t block, size_t end, int ready) noexcept nogil
@cython.locals(i="unsigned long long", kept="unsigned long long", entry=size_t, at=size_t)
cdef unsigned long long spines(size_t block, size_t events, unsigned long long n) noexcept nogil
@cython.locals(data="unsigned long long", one=size_t, several=bint, entry=size_t, end=size_t)
cdef size_t heard(size_t block, size_t event) noexcept nogil
cdef void unwanted(size_t block, size_t entry) noexcept nogil
@cython.locals(have="unsigned long long", wanted="unsigned long long")
cdef bint translate(size_t entry, size_t event) noexcept nogil
@cython.locals(kept="unsigned long long", i="unsigned long long", j="unsigned long long")
cdef unsigned long long merge(size_t events, unsigned long long found, unsigned long long more) noexcept nogil
cdef bint same(size_t a, size_t b) noexcept nogil
