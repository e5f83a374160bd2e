"""Loops around single operations, compiled for the benchmark so that no Python loop is measured (loops.pxd)."""

import ctypes
import socket
import time

from libos import calls, raw
from libos.kernel_queue import KernelQueue
from libos.runtime import suspend
from libos.runtime.memory import Heap
from libos.runtime.qtokens import Qtokens
from libos.runtime.scheduler import Scheduler

COMPILED = __file__.endswith(".so")


def timed(function, arguments, count, blocks):
    """Nanoseconds per operation of `function(*arguments, count)`, one per block."""
    found = []
    for _ in range(blocks):
        start = time.perf_counter_ns()
        function(*arguments, count)
        found.append((time.perf_counter_ns() - start) / count)
    return found


def pop_queue(queue, address, count):
    i = 0
    while i < count:
        queue.pop_into(address, 64, 0)
        i += 1


def pop_kernel(fd, address, count):
    i = 0
    while i < count:
        raw.syscall(calls.SYS_recvfrom, fd, address, 64, calls.DONTWAIT, 0, 0)
        i += 1


def pops(count, blocks):
    """{"queue": ..., "kernel": ...}: a pop of nothing through the queue, and its system call alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        buffer = ctypes.create_string_buffer(64)
        address = ctypes.addressof(buffer)
        queue = KernelQueue(500, sock.fileno())
        found = {"queue": [], "kernel": []}
        for _ in range(blocks):  # turn and turn about
            found["queue"] += timed(pop_queue, (queue, address), count, 1)
            found["kernel"] += timed(pop_kernel, (sock.fileno(), address), count, 1)
        return found


def alloc_free(heap, size, count):
    i = 0
    while i < count:
        heap.free(heap.alloc(size))
        i += 1


def allocations(size, count, blocks):
    return timed(alloc_free, (Heap(64), size), count, blocks)


def block_take(qtokens, count):
    i = 0
    while i < count:
        token = qtokens.block(1, 500)
        qtokens.complete(token)
        qtokens.take(token)
        i += 1


def tokens(count, blocks):
    return timed(block_take, (Qtokens(),), count, blocks)


def wake_run(scheduler, spawned, count):
    """Wake one of `spawned` mostly blocked coroutines, far from the last, and run the next that is ready."""
    slot = 0
    i = 0
    while i < count:
        slot += 7919
        if slot >= spawned:
            slot -= spawned
        scheduler.wake(0, slot)
        scheduler.run_one(False)
        i += 1


def blocked():
    woken = suspend.until_woken()
    while True:
        yield from woken


async def blocked_async():
    woken = suspend.until_woken()
    while True:
        await woken


def switches(spawned, count, blocks, kind=blocked):
    """Nanoseconds to wake and run the next among `spawned` coroutines."""
    scheduler = Scheduler(1 << 14)
    for _ in range(spawned):
        scheduler.spawn(0, kind())
    scheduler.run(2 * spawned)
    return timed(wake_run, (scheduler, spawned), count, blocks)
