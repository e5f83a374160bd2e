"""Loops around single operations, compiled for the benchmark so that no Python loop is measured (loops.pxd)."""

import ctypes
import socket
import time

from interpose.stream import Stream
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


def receive(description, address, count):
    """Bytes that `count` receives of 64 B took, through the POSIX layer."""
    i = 0
    got = 0
    while i < count:
        r = description.recv(address, 64, calls.DONTWAIT, 0)
        got += r if r > 0 else 0
        i += 1
    return got


def pop_queue(queue, address, count):
    """The same through the PDPIX queue."""
    i = 0
    got = 0
    while i < count:
        r = queue.pop_into(address, 64, 0)
        got += r if r > 0 else 0
        i += 1
    return got


class Kernel:
    """The system call in a function of its own, as it is in libc: the first return after a system call is not predicted
    on processors that clear their return stack there, and every caller pays for that."""

    def __init__(self, fd):
        self.fd = fd

    def recv(self, address):
        return raw.syscall(calls.SYS_recvfrom, self.fd, address, 64, calls.DONTWAIT, 0, 0)


def pop_kernel(kernel, address, count):
    """The same by the system call alone."""
    i = 0
    got = 0
    while i < count:
        r = kernel.recv(address)
        got += r if r > 0 else 0
        i += 1
    return got


MESSAGES = 500


def layers(rounds, blocks):
    """{layer: nanoseconds of a receive that finds 64 B, per block}, and the same for one that finds nothing."""
    buffer = ctypes.create_string_buffer(64)
    address = ctypes.addressof(buffer)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    with sender, receiver:
        queue = KernelQueue(500, receiver.fileno())
        stream = Stream(queue, receiver.fileno(), True)
        kernel = Kernel(receiver.fileno())
        ways = {"posix": (receive, stream), "queue": (pop_queue, queue), "kernel": (pop_kernel, kernel)}
        data = {name: [] for name in ways}
        nothing = {name: [] for name in ways}
        for _ in range(blocks):  # turn and turn about
            for name, (function, through) in ways.items():
                nothing[name] += timed(function, (through, address), rounds * MESSAGES, 1)
                spent = 0
                for _ in range(rounds):
                    sender.sendall(bytes(64 * MESSAGES))
                    start = time.perf_counter_ns()
                    got = function(through, address, MESSAGES)
                    spent += time.perf_counter_ns() - start
                    assert got == 64 * MESSAGES, "not all of it had arrived"
                data[name].append(spent / (rounds * MESSAGES))
    return data, nothing


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
    step = 7919 if spawned > 7919 else 1
    slot = 0
    i = 0
    while i < count:
        slot += step
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


def message_give(device, address, length, largest):
    """Send a message of `length` bytes in frames of `largest` at most, all of which begin like the one at `address`."""
    while length > 0:
        n = largest if largest < length else length
        while not device.transmit(address, n):
            raw.pause()
        length -= n


def message_take(device, frames, length):
    """Take frames until a message of `length` bytes is there. False when nothing comes for long."""
    idle = 0
    while length > 0:
        n = device.receive(frames, 64)
        idle = 0 if n else idle + 1
        if idle == 1 << 28:
            return False
        i = 0
        while i < n:
            length -= raw.load(frames + i * 16 + 8)
            i += 1
    return True


def frame_pong(device, frames, address, length, largest, count):
    """Answer `count` messages of `length` bytes with another; how many were answered."""
    i = 0
    while i < count and message_take(device, frames, length):
        message_give(device, address, length, largest)
        i += 1
    return i


def frame_ping(device, frames, address, length, largest, times, count):
    """`count` round trips of such a message, each one's nanoseconds written to `times`; how many came back."""
    i = 0
    before = raw.now()
    while i < count:
        message_give(device, address, length, largest)
        if not message_take(device, frames, length):
            return i
        after = raw.now()
        raw.store(times + i * 8, after - before)
        before = after
        i += 1
    return i


def frame_source(device, address, length, count):
    """Send a frame `count` times, each as often as the receiver's ring is full."""
    i = 0
    refused = 0
    while i < count and refused < 1 << 32:
        if device.transmit(address, length):
            i += 1
        else:
            refused += 1
            raw.pause()
    return refused


def frame_sink(device, frames, count):
    """Take `count` frames: the nanoseconds from the first to the last; -1 when nothing more has come for a second."""
    got = device.receive(frames, 64)
    while got == 0:
        got = device.receive(frames, 64)
    start = raw.now()
    since = start
    idle = 0
    while got < count:
        n = device.receive(frames, 64)
        got += n
        idle = 0 if n else idle + 1
        if idle and idle & 0xFFFF == 0:  # the clock is not looked at while frames come
            if idle == 0x10000:
                since = raw.now()
            elif raw.now() - since > 1000000000:
                return -1
    return raw.now() - start


def mint_next(mint, at, result):
    """Look until a connection has a message, written to `result`: False when nothing comes for long."""
    idle = 0
    while mint.machine.pop(at, result) != 1:
        mint.turn()
        idle += 1
        if idle == 1 << 28:
            return False
    return True


def mint_push(mint, at, address, size, result):
    """Push a message, and see to it that its memory is ours again: a small one was copied."""
    if mint.machine.push_at_once(at, address, size):
        return True
    if mint.machine.push(at, address, size, 1) != 0:
        return False
    mint.flush()
    while not mint.machine.finished(at, result):
        mint.turn()
    return True


def mint_pong(mint, at, result, count):
    """Send back `count` messages; how many there were."""
    i = 0
    while i < count and mint_next(mint, at, result):
        buffer = raw.load(result)
        if not mint_push(mint, at, raw.load(result + 8), raw.load(result + 16), result):
            return i
        mint.buffers.free(buffer)
        i += 1
    return i


def mint_ping(mint, at, address, size, result, times, count):
    """`count` round trips of a message, each one's nanoseconds written to `times`; how many came back."""
    i = 0
    before = raw.now()
    while i < count and mint_push(mint, at, address, size, result) and mint_next(mint, at, result):
        mint.buffers.free(raw.load(result))
        after = raw.now()
        raw.store(times + i * 8, after - before)
        before = after
        i += 1
    return i
