"""Kernel sockets (Catnap): attempts at their operations, each one non-blocking system call, made without the table's
lock by the one thread that drives the operation's line (libos/core/driving.py).

A socket is in the table's epoll set from its first moment on, edge-triggered: an attempt that finds nothing to do is
made again when the kernel has said that something has changed (epoll(7)).
"""

from libos import calls, raw
from libos.core import layout

COMPILED = __file__.endswith(".so")
MESSAGE = 56  # bytes of struct msghdr


def name_size(family):
    """Bytes of a family's struct sockaddr (ip(7), ipv6(7)); 0 for a family that isn't served."""
    if family == calls.AF_INET:
        return layout.NAME_4
    return layout.NAME_6 if family == calls.AF_INET6 else 0


def add(table, fd, kind, state, size):
    """The record of a queue over a non-blocking socket whose names have `size` bytes; a negative error otherwise, and
    the socket is closed. Under the lock.
    """
    queue = table.add_queue(layout.SOCKET)
    if queue == 0:
        raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)
        return -calls.EMFILE
    raw.store(queue + layout.FD, fd)
    raw.store(queue + layout.SOCKET_TYPE, kind)
    raw.store(queue + layout.SOCKET_STATE, state)
    raw.store(queue + layout.NAME_SIZE, size)
    raw.store(queue + layout.ACCEPTED, state == layout.CONNECTED)
    raw.store(queue + layout.USES, 0)
    raw.store(queue + layout.NEXT_STEP, raw.load(table.head + layout.WORTH))
    r = table.register(fd, calls.EDGES, raw.load(queue + layout.QUEUE_QD))
    if r < 0:
        raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)
        table.remove_queue(queue)
        return r
    raw.store(table.head + layout.SOCKETS, raw.load(table.head + layout.SOCKETS) + 1)
    return queue


def make(table, family, kind):
    """The record of a new socket's queue, or a negative error (socket(2)). Under the lock."""
    fd = raw.syscall(calls.SYS_socket, family, kind | calls.OWN_SOCKET, 0, 0, 0, 0)
    if fd < 0:
        return fd
    if kind == calls.SOCK_STREAM:  # as Demikernel's Catnap: a server may start again at once
        raw.store(table.head + layout.SCRATCH, 1)
        at = table.head + layout.SCRATCH
        raw.syscall(calls.SYS_setsockopt, fd, calls.SOL_SOCKET, calls.SO_REUSEADDR, at, 4, 0)
    return add(table, fd, kind, layout.FRESH, name_size(family))


def forget(table, fd):
    """A socket out of the epoll set: a child may have it too, whose events would go on coming."""
    raw.syscall(calls.SYS_epoll_ctl, table.epoll(), calls.EPOLL_DEL, fd, table.head + layout.SCRATCH, 0, 0)


def at_rest(table, qd):
    """The record of a queue that no thread drives; 0 when there is none. Under the lock, which may be given back
    meanwhile.
    """
    queue = table.queue_of(qd)
    while queue and (raw.load(queue + layout.DRIVEN_IN) or raw.load(queue + layout.DRIVEN_OUT)):
        table.unlock()
        raw.pause()
        table.lock()
        queue = table.queue_of(qd)
    return queue


def unconnected(queue):
    """Why nothing can be sent or received: 0 when it can, -EAGAIN while a stream connects, -ENOTCONN otherwise."""
    state = raw.load(queue + layout.SOCKET_STATE)
    if state == layout.CONNECTED or raw.load(queue + layout.SOCKET_TYPE) != calls.SOCK_STREAM:
        return 0
    return -calls.EAGAIN if state == layout.CONNECTING else -calls.ENOTCONN


def push(table, queue, operation):
    """Send what is left of the array: its bytes when they are all sent, -EINPROGRESS when some are."""
    r = unconnected(queue)
    if r < 0:
        return r
    r = send(table, queue, operation)
    if r < 0:
        return r
    raw.store(operation + layout.VALUE, raw.load(operation + layout.VALUE) + r)
    total = table.length(operation + layout.COUNT)
    return total if raw.load(operation + layout.VALUE) >= total else -calls.EINPROGRESS


def send(table, queue, operation):
    """One system call, for what is left of a segment or for all that are left; a datagram goes to the operation's own
    address if it has one (sendto(2), sendmsg(2)).
    """
    at = table.segments(operation + layout.COUNT)
    count = raw.load(operation + layout.COUNT)
    done = raw.load(operation + layout.VALUE)
    fd = raw.load(queue + layout.FD)
    to = operation + layout.ADDRESS if raw.load32(operation + layout.NOTED) & layout.ADDRESSED else 0
    size = raw.load(queue + layout.NAME_SIZE) if to else 0
    while done >= raw.load(at + 8):
        done -= raw.load(at + 8)
        at += 16
        count -= 1
    if count == 1 or done:
        flags = calls.NOSIGNAL | calls.DONTWAIT
        return raw.syscall(calls.SYS_sendto, fd, raw.load(at) + done, raw.load(at + 8) - done, flags, to, size)
    message = table.heap.alloc(MESSAGE)
    if message == 0:
        return -calls.ENOMEM
    raw.store(message, to)
    raw.store(message + 8, size)
    raw.store(message + 16, at)
    raw.store(message + 24, count)
    raw.store(message + 32, 0)
    raw.store(message + 40, 0)
    r = raw.syscall(calls.SYS_sendmsg, fd, message, calls.NOSIGNAL | calls.DONTWAIT, 0, 0, 0)
    table.heap.free(message)
    return r


def pop(table, queue, operation):
    """Receive at most POP_SIZE bytes into a buffer of the heap (recvfrom(2)); what is small moves to a small buffer."""
    r = unconnected(queue)
    if r < 0:
        return r
    buffer = table.heap.alloc(layout.POP_SIZE)
    if buffer == 0:
        return -calls.ENOMEM
    raw.store(operation + layout.VALUE, raw.load(queue + layout.NAME_SIZE))
    sender = operation + layout.ADDRESS if raw.load(queue + layout.SOCKET_TYPE) != calls.SOCK_STREAM else 0
    length = operation + layout.VALUE if sender else 0
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
            raw.fetch_add(table.head + layout.COUNTERS + layout.COPIED * 8, size)
            table.heap.free(buffer)
            buffer = small
    keep(operation, buffer, size)


def keep(operation, buffer, size):
    """The result of a pop is a buffer as it is."""
    raw.store(operation + layout.COUNT, 1)
    raw.store(operation + layout.SEGMENTS, buffer)
    raw.store(operation + layout.SEGMENTS + 8, size)


def accept(queue, operation):
    """Take one connection (accept4(2)): its descriptor."""
    raw.store(operation + layout.VALUE, raw.load(queue + layout.NAME_SIZE))
    fd = raw.load(queue + layout.FD)
    length = operation + layout.VALUE
    return raw.syscall(calls.SYS_accept4, fd, operation + layout.ADDRESS, length, calls.OWN_SOCKET, 0, 0)


def accepted(table, queue, operation, fd):
    """The result of an accept is a new queue's descriptor. 0, or an error. Under the lock."""
    r = add(table, fd, calls.SOCK_STREAM, layout.CONNECTED, raw.load(queue + layout.NAME_SIZE))
    if r < 0:
        return r
    raw.store(operation + layout.VALUE, raw.load(r + layout.QUEUE_QD))
    return 0


def connect(queue, operation):
    """Start, then look what became of it (connect(2), EINPROGRESS)."""
    fd = raw.load(queue + layout.FD)
    at = operation + layout.VALUE
    if raw.load32(operation + layout.NOTED) == 0:
        raw.store32(operation + layout.NOTED, layout.STARTED)
        size = raw.load(queue + layout.NAME_SIZE)
        r = raw.syscall(calls.SYS_connect, fd, operation + layout.ADDRESS, size, 0, 0, 0)
        if r == -calls.EINPROGRESS:
            return -calls.EAGAIN
    elif raw.polled(fd, calls.POLLOUT) == 0:
        return -calls.EAGAIN
    else:
        raw.store32(at, 0)
        raw.store32(at + 4, 4)
        r = raw.syscall(calls.SYS_getsockopt, fd, calls.SOL_SOCKET, calls.SO_ERROR, at, at + 4, 0)
        if r == 0:
            r = raw.load32(at)
            r = -r
    raw.store(queue + layout.SOCKET_STATE, layout.CONNECTED if r == 0 else layout.FRESH)
    return r


def named(queue, call, address, length):
    """getsockname(2) and getpeername(2)."""
    return raw.syscall(call, raw.load(queue + layout.FD), address, length, 0, 0, 0)
