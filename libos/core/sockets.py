"""Kernel sockets (Catnap): attempts at their operations, each a non-blocking system call under the table's lock.

A socket is in the table's epoll set from its first moment on, edge-triggered: an attempt that finds nothing to do is
made again when the kernel has said that something has changed (epoll(7)).
"""

from libos import calls, raw
from libos.core import layout

COMPILED = __file__.endswith(".so")


def add(table, fd, kind, state):
    """The record of a queue over a non-blocking socket; a negative error otherwise, and the socket is closed."""
    queue = table.add_queue(layout.SOCKET)
    if queue == 0:
        raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)
        return -calls.EMFILE
    raw.store(queue + layout.FD, fd)
    raw.store(queue + layout.SOCKET_TYPE, kind)
    raw.store(queue + layout.SOCKET_STATE, state)
    raw.store(queue + layout.ACCEPTED, state == layout.CONNECTED)
    raw.store(queue + layout.USES, 0)
    raw.store(queue + layout.NEXT_STEP, raw.load(table.head + layout.WORTH))
    r = table.register(fd, calls.EDGES, raw.load(queue + layout.QUEUE_QD))
    if r < 0:
        raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)
        table.remove_queue(queue)
        return r
    return queue


def make(table, kind):
    """The record of a new IPv4 socket's queue, or a negative error (socket(2))."""
    fd = raw.syscall(calls.SYS_socket, calls.AF_INET, kind | calls.OWN_SOCKET, 0, 0, 0, 0)
    if fd < 0:
        return fd
    if kind == calls.SOCK_STREAM:  # as Demikernel's Catnap: a server may start again at once
        raw.store(table.head + layout.SCRATCH, 1)
        at = table.head + layout.SCRATCH
        raw.syscall(calls.SYS_setsockopt, fd, calls.SOL_SOCKET, calls.SO_REUSEADDR, at, 4, 0)
    return add(table, fd, kind, layout.FRESH)


def forget(table, fd):
    """A socket out of the epoll set: a child may have it too, whose events would go on coming."""
    raw.syscall(calls.SYS_epoll_ctl, table.epoll(), calls.EPOLL_DEL, fd, table.head + layout.SCRATCH, 0, 0)


def unconnected(queue):
    """Why nothing can be sent or received: 0 when it can, -EAGAIN while a stream connects, -ENOTCONN otherwise."""
    state = raw.load(queue + layout.SOCKET_STATE)
    if state == layout.CONNECTED or raw.load(queue + layout.SOCKET_TYPE) != calls.SOCK_STREAM:
        return 0
    return -calls.EAGAIN if state == layout.CONNECTING else -calls.ENOTCONN


def gather(table, operation):
    """What is left of an operation's array after VALUE bytes, as struct iovec in the scratch: how many."""
    at = table.segments(operation + layout.COUNT)
    last = at + raw.load(operation + layout.COUNT) * 16
    done = raw.load(operation + layout.VALUE)
    to = table.head + layout.SEGMENT_SCRATCH
    count = 0
    while at < last:
        size = raw.load(at + 8)
        if done >= size:
            done -= size
        else:
            raw.store(to, raw.load(at) + done)
            raw.store(to + 8, size - done)
            done = 0
            to += 16
            count += 1
        at += 16
    return count


def push(table, queue, operation, to):
    """Send what is left of the array; a datagram to the operation's own address when `to` is true (sendmsg(2))."""
    r = unconnected(queue)
    if r < 0:
        return r
    fd = raw.load(queue + layout.FD)
    total = table.length(operation + layout.COUNT)
    message = table.head + layout.SCRATCH
    while True:
        raw.store(message, operation + layout.ADDRESS if to else 0)
        raw.store(message + 8, 16 if to else 0)
        raw.store(message + 16, table.head + layout.SEGMENT_SCRATCH)
        raw.store(message + 24, gather(table, operation))
        raw.store(message + 32, 0)
        raw.store(message + 40, 0)
        table.note(layout.SYSTEM_CALLS, 1)
        r = raw.syscall(calls.SYS_sendmsg, fd, message, calls.NOSIGNAL | calls.DONTWAIT, 0, 0, 0)
        if r < 0:
            return r
        raw.store(operation + layout.VALUE, raw.load(operation + layout.VALUE) + r)
        if raw.load(operation + layout.VALUE) >= total:
            return total


def pop(table, queue, operation):
    """Receive at most POP_SIZE bytes into a buffer of the heap (recvfrom(2)); what is small moves to a small buffer."""
    r = unconnected(queue)
    if r < 0:
        return r
    buffer = table.heap.alloc(layout.POP_SIZE)
    if buffer == 0:
        return -calls.ENOMEM
    raw.store(table.head + layout.SCRATCH, 16)
    sender = operation + layout.ADDRESS if raw.load(queue + layout.SOCKET_TYPE) != calls.SOCK_STREAM else 0
    length = table.head + layout.SCRATCH if sender else 0
    table.note(layout.SYSTEM_CALLS, 1)
    fd = raw.load(queue + layout.FD)
    r = raw.syscall(calls.SYS_recvfrom, fd, buffer, layout.POP_SIZE, calls.DONTWAIT, sender, length)
    if r < 0:
        table.heap.free(buffer)
        return r
    received(table, operation, buffer, r)
    return r


def received(table, operation, buffer, size):
    """The result of a pop: `size` bytes in a buffer of POP_SIZE, which the application gets, or a copy of the few."""
    if size <= layout.SMALL:
        small = table.heap.alloc(size)
        if small:
            raw.copy(small, buffer, size)
            table.note(layout.COPIED, size)
            table.heap.free(buffer)
            buffer = small
    keep(operation, buffer, size)


def keep(operation, buffer, size):
    """The result of a pop is a buffer as it is."""
    raw.store(operation + layout.COUNT, 1)
    raw.store(operation + layout.SEGMENTS, buffer)
    raw.store(operation + layout.SEGMENTS + 8, size)


def accept(table, queue, operation):
    """Take one connection (accept4(2)): its new queue's descriptor."""
    at = table.head + layout.SCRATCH
    raw.store(at, 16)
    table.note(layout.SYSTEM_CALLS, 1)
    fd = raw.load(queue + layout.FD)
    r = raw.syscall(calls.SYS_accept4, fd, operation + layout.ADDRESS, at, calls.OWN_SOCKET, 0, 0)
    if r < 0:
        return r
    r = add(table, r, calls.SOCK_STREAM, layout.CONNECTED)
    if r < 0:
        return r
    raw.store(operation + layout.VALUE, raw.load(r + layout.QUEUE_QD))
    return 0


def connect(table, queue, operation):
    """Start, then look what became of it (connect(2), EINPROGRESS)."""
    fd = raw.load(queue + layout.FD)
    at = table.head + layout.SCRATCH
    table.note(layout.SYSTEM_CALLS, 1)
    if raw.load32(operation + layout.NOTED) == 0:
        raw.store32(operation + layout.NOTED, layout.STARTED)
        r = raw.syscall(calls.SYS_connect, fd, operation + layout.ADDRESS, 16, 0, 0, 0)
        if r == -calls.EINPROGRESS:
            return -calls.EAGAIN
    elif raw.polled(fd, calls.POLLOUT) == 0:
        return -calls.EAGAIN
    else:
        raw.store(at, 0)
        raw.store(at + 8, 4)
        r = raw.syscall(calls.SYS_getsockopt, fd, calls.SOL_SOCKET, calls.SO_ERROR, at, at + 8, 0)
        if r == 0:
            r = -raw.load(at)
    raw.store(queue + layout.SOCKET_STATE, layout.CONNECTED if r == 0 else layout.FRESH)
    return r


def named(queue, call, address, length):
    """getsockname(2) and getpeername(2)."""
    return raw.syscall(call, raw.load(queue + layout.FD), address, length, 0, 0, 0)
