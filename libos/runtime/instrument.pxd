cdef class Hooks:
    cdef public bint pop, push

cdef Hooks HOOKS
cdef long long popped(long qd, size_t address, long long count) noexcept with gil
cdef void pushed(long qd, size_t address, long long count) noexcept with gil
