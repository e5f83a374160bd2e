"""The calls of demi/libos.h that are done when they return."""

from libos import calls, raw
from libos.capi import layout as c
from libos.capi import process
from libos.core import channel, driving, layout, sockets

COMPILED = __file__.endswith(".so")


def queue(qd_out, capacity):
    """demi_queue: a queue in memory. EINVAL, ENOMEM."""
    if qd_out < c.LOWEST or capacity < 1 or capacity > 1048576:
        return calls.EINVAL
    process.FACE.table.lock()
    at = channel.add(process.FACE.table, capacity)
    process.FACE.table.unlock()
    if at == 0:
        return calls.ENOMEM
    raw.store32(qd_out, raw.load(at + layout.QUEUE_QD))
    return 0


def socket(qd_out, domain, kind, protocol):
    """demi_socket: IPv4 or IPv6, stream or datagram; the protocol is not looked at. EINVAL, ENOTSUP, the kernel's."""
    if qd_out < c.LOWEST:
        return calls.EINVAL
    if sockets.name_size(domain) == 0 or (kind != calls.SOCK_STREAM and kind != calls.SOCK_DGRAM):
        return calls.UNSUPPORTED
    process.FACE.table.lock()
    if raw.load(process.FACE.table.head + layout.MESSAGING):
        r = process.FACE.table.transport.make(domain, kind)
    else:
        r = sockets.make(process.FACE.table, domain, kind)
    if r > 0:
        raw.store32(qd_out, raw.load(r + layout.QUEUE_QD))
    process.FACE.table.unlock()
    return -r if r < 0 else 0


def socket_of(qd, stream):
    """The record of a socket, and of a stream if that is asked for; else a negative error. Under the lock."""
    at = process.FACE.table.queue_of(qd)
    if at == 0:
        return -calls.EBADF
    if not is_socket(at):
        return -calls.EINVAL
    if stream and raw.load(at + layout.SOCKET_TYPE) != calls.SOCK_STREAM:
        return -calls.EINVAL
    return at


def is_socket(queue):
    """Whether a queue is one, of the kernel's or of messages."""
    return raw.load(queue + layout.KIND) == layout.SOCKET or raw.load(queue + layout.KIND) == layout.MESSAGES


def named(address, size):
    """Whether an address and its length are those of a struct sockaddr_in or sockaddr_in6."""
    return address >= c.LOWEST and size and size == sockets.name_size(raw.load32(address) & 0xFFFF)


def named_for(queue, address, size):
    """The same, of the socket's own family."""
    return size == raw.load(queue + layout.NAME_SIZE) and named(address, size)


def bind(qd, address, size):
    """demi_bind. EBADF, EINVAL, the kernel's."""
    process.FACE.table.lock()
    at = socket_of(qd, False)
    if at > 0:
        r = -calls.EINVAL
        if named_for(at, address, size) and raw.load(at + layout.SOCKET_STATE) == layout.FRESH:
            r = sockets.named(at, calls.SYS_bind, address, size)
        if r == 0:
            raw.store(at + layout.SOCKET_STATE, layout.BOUND)
        at = r
    process.FACE.table.unlock()
    return -at


def listen(qd, backlog):
    """demi_listen. EBADF, EINVAL, EDESTADDRREQ, EADDRINUSE."""
    process.FACE.table.lock()
    at = socket_of(qd, True)
    if at > 0:
        state = raw.load(at + layout.SOCKET_STATE)
        if backlog <= 0 or state == layout.CONNECTING or state == layout.CONNECTED:
            r = -calls.EINVAL
        elif state == layout.FRESH:
            r = -calls.EDESTADDRREQ
        elif state == layout.LISTENING:
            r = -calls.EADDRINUSE
        else:
            r = sockets.named(at, calls.SYS_listen, backlog, 0)
        if r == 0:
            raw.store(at + layout.SOCKET_STATE, layout.LISTENING)
        at = r
    process.FACE.table.unlock()
    if at == 0 and raw.load(process.FACE.table.head + layout.MESSAGING):
        process.FACE.table.transport.listen(qd, backlog)
    return -at


def close(qd):
    """demi_close. EBADF."""
    return -driving.close(process.FACE.table, qd)


def getpeername(qd, address, length):
    """demi_getpeername. EBADF, EINVAL, the kernel's."""
    return asked(qd, calls.SYS_getpeername, address, length)


def getsockname(qd, address, length):
    """demi_getsockname. EBADF, EINVAL, the kernel's."""
    return asked(qd, calls.SYS_getsockname, address, length)


def asked(qd, call, address, length):
    process.FACE.table.lock()
    at = socket_of(qd, False)
    if at > 0:
        at = sockets.named(at, call, address, length) if address >= c.LOWEST and length >= c.LOWEST else -calls.EINVAL
    process.FACE.table.unlock()
    return -at


def getsockopt(qd, level, option, value, length):
    """demi_getsockopt: SO_LINGER, SO_KEEPALIVE, TCP_NODELAY. EBADF, EINVAL, ENOPROTOOPT, ENOTSUP."""
    if value < c.LOWEST or length < c.LOWEST:
        return calls.EBADF if process.FACE.table.queue_of(qd) == 0 else calls.EINVAL
    return set_or_get(calls.SYS_getsockopt, qd, level, option, value, length)


def setsockopt(qd, level, option, value, length):
    """demi_setsockopt: SO_LINGER, SO_KEEPALIVE, TCP_NODELAY. EBADF, EINVAL, ENOPROTOOPT, ENOTSUP."""
    if value < c.LOWEST or length == 0:
        return calls.EBADF if process.FACE.table.queue_of(qd) == 0 else calls.EINVAL
    return set_or_get(calls.SYS_setsockopt, qd, level, option, value, length)


def set_or_get(call, qd, level, option, value, length):
    process.FACE.table.lock()
    at = socket_of(qd, False)
    if at > 0:
        if level != calls.SOL_SOCKET and level != calls.IPPROTO_TCP:
            at = -calls.UNSUPPORTED
        elif level == calls.SOL_SOCKET and option != calls.SO_LINGER and option != calls.SO_KEEPALIVE:
            at = -calls.ENOPROTOOPT
        elif level == calls.IPPROTO_TCP and option != calls.TCP_NODELAY:
            at = -calls.ENOPROTOOPT
        else:
            at = raw.syscall(call, raw.load(at + layout.FD), level, option, value, length, 0)
    process.FACE.table.unlock()
    return -at
