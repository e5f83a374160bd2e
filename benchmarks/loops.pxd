cimport cython
from interpose.description cimport Description
from libos cimport calls, raw
from libos.catmint cimport Catmint
from libos.devices.frame_device cimport FrameDevice
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
@cython.locals(n="long long")
cdef void message_give(FrameDevice device, size_t address, long long length, long long largest) noexcept nogil
@cython.locals(i="unsigned long long", idle="unsigned long long", n="unsigned long long")
cdef bint message_take(FrameDevice device, size_t frames, long long length) noexcept nogil
@cython.locals(i="unsigned long long")
cpdef unsigned long long frame_pong(FrameDevice device, size_t frames, size_t address, long long length, long long largest, unsigned long long count)
@cython.locals(i="unsigned long long", before="long long", after="long long")
cpdef unsigned long long frame_ping(FrameDevice device, size_t frames, size_t address, long long length, long long largest, size_t times, unsigned long long count)
@cython.locals(i="unsigned long long", refused="unsigned long long")
cpdef unsigned long long frame_source(FrameDevice device, size_t address, unsigned long long length, unsigned long long count)
@cython.locals(got="unsigned long long", n="unsigned long long", start="long long", since="long long", idle="unsigned long long")
cpdef long long frame_sink(FrameDevice device, size_t frames, unsigned long long count)
@cython.locals(idle="unsigned long long")
cdef bint mint_next(Catmint mint, size_t at, size_t result) noexcept nogil
cdef bint mint_push(Catmint mint, size_t at, size_t address, long long size, size_t result) noexcept nogil
@cython.locals(i="unsigned long long", buffer=size_t)
cpdef unsigned long long mint_pong(Catmint mint, size_t at, size_t result, unsigned long long count)
@cython.locals(i="unsigned long long", before="long long", after="long long")
cpdef unsigned long long mint_ping(Catmint mint, size_t at, size_t address, long long size, size_t result, size_t times, unsigned long long count)
