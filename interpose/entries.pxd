cimport cython
from interpose cimport abi, description, linux
from interpose.description cimport Description
from interpose cimport interest, readiness, sets, watching
from libos cimport raw

cdef long long recv(Description d, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
cdef long long send(Description d, size_t address, unsigned long long size, int flags, size_t qt) noexcept nogil
cdef long long recvmsg(Description d, size_t message, int flags, size_t qt) noexcept nogil
cdef long long sendmsg(Description d, size_t message, int flags, size_t qt) noexcept nogil
cdef long long sendfile(Description d, int in_fd, size_t offset, unsigned long long size, size_t qt) noexcept nogil
cdef long long accept(Description d, size_t address, size_t length, int flags, size_t qt) noexcept nogil
cdef long long connect(Description d, size_t address, unsigned int length, size_t qt) noexcept nogil
cdef long long begin_ready(int ep, size_t events, int n, size_t qt) noexcept nogil
cdef long long begin_ready_poll(size_t fds, size_t handles, size_t copy, unsigned long long n, size_t qt) noexcept nogil
cdef long long handle(Description d) noexcept nogil
cdef long long end_wait(unsigned long long qtoken, int op, size_t data, long long result) noexcept nogil
cdef long long drop_wait(unsigned long long qtoken) noexcept nogil
cdef long long forking(int done) noexcept nogil
cdef long long probe(Description d, long long x) noexcept nogil
cdef long long sync(int fd, int data_only) noexcept nogil
cdef long long adopt(int fd, int domain, int kind, unsigned long long uses, size_t name) noexcept with gil
cdef long long attend(Description d) noexcept with gil
cdef long long new_bell(size_t fd) noexcept with gil
cdef long long free_bell(int bell) noexcept with gil
cdef long long watch_interest(Description d, int ep, int op, int fd, size_t event) noexcept nogil
cdef long long nested(int ep) noexcept nogil
cdef long long set_copied(int ep, int to) noexcept nogil
cdef long long leave(Description d) noexcept nogil
cdef long long ended(Description d) noexcept nogil
cdef long long set_closed(int ep) noexcept nogil
cdef long long pending(Description d, int outward) noexcept with gil
cdef long long bind(Description d, size_t address, unsigned int length) noexcept with gil
cdef long long listen(Description d, int backlog) noexcept with gil
cdef long long shutdown(Description d, int how) noexcept with gil
cdef long long name(Description d, int peer, size_t address, size_t length) noexcept with gil
cdef long long getsockopt(Description d, int level, int option, size_t value, size_t length) noexcept with gil
cdef long long setsockopt(Description d, int level, int option, size_t value, unsigned int length) noexcept with gil
cdef long long status(Description d, int nonblock) noexcept with gil
cdef long long dup(Description d, int fd) noexcept with gil
cdef long long close(Description d, int fd) noexcept with gil
cdef long long slept(Description d) noexcept with gil
cdef long long interface(unsigned long long request, size_t at, int room) noexcept with gil
cdef long long file(int fd, int what, long long value) noexcept with gil
cdef long long probe_gil(Description d, long long x) noexcept with gil
@cython.locals(turns=int)
cdef go_back(Description d)
