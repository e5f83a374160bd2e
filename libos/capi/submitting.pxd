cimport cython
from libos cimport calls, raw
from libos.capi cimport arrays, names, process
from libos.capi cimport layout as c
from libos.core cimport driving, layout

@cython.locals(at="long long", r=int)
cdef int accept(size_t qt_out, int qd) noexcept nogil
@cython.locals(operation=size_t)
cdef int begin(size_t qt_out, size_t at, unsigned int opcode) noexcept nogil
@cython.locals(at="long long", r=int, state="unsigned long long")
cdef int connect(size_t qt_out, int qd, size_t address, unsigned int size) noexcept nogil
@cython.locals(operation=size_t)
cdef int connecting(size_t qt_out, size_t at, size_t address) noexcept nogil
cdef int push(size_t qt_out, int qd, size_t sga) noexcept nogil
cdef int pushto(size_t qt_out, int qd, size_t sga, size_t address, unsigned int size) noexcept nogil
@cython.locals(at=size_t, operation=size_t, r=int)
cdef int submit(size_t qt_out, int qd, size_t sga, size_t address, unsigned int size) noexcept nogil
@cython.locals(at=size_t, r=int)
cdef int pop(size_t qt_out, int qd) noexcept nogil
