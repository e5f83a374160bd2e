cimport cython
from interpose.description cimport Description
from libos cimport calls, raw
from libos.kernel_queue cimport KernelQueue
from libos.queue cimport Queue
from libos.runtime.memory cimport Heap
from libos.runtime.qtokens cimport Qtokens
from libos.runtime.scheduler cimport Scheduler

cdef class Kernel:
    cdef int fd
    cdef long long recv(self, size_t address) noexcept nogil
@cython.locals(i="unsigned long long", r="long long", got="long long")
cpdef long long receive(Description description, size_t address, unsigned long long count)
@cython.locals(i="unsigned long long", r="long long", got="long long")
cpdef long long pop_queue(Queue queue, size_t address, unsigned long long count)
@cython.locals(i="unsigned long long", r="long long", got="long long")
cpdef long long pop_kernel(Kernel kernel, size_t address, unsigned long long count)
@cython.locals(i="unsigned long long")
cpdef void alloc_free(Heap heap, unsigned long long size, unsigned long long count)
@cython.locals(i="unsigned long long", token="unsigned long long")
cpdef void block_take(Qtokens qtokens, unsigned long long count)
@cython.locals(i="unsigned long long", slot="unsigned long long", step="unsigned long long")
cpdef void wake_run(Scheduler scheduler, unsigned long long spawned, unsigned long long count)
