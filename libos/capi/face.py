"""The calls of include/demi/libos.h, sga.h and wait.h, as functions of addresses: what the library jumps to.

Each returns 0 or a positive errno, as its man page says (docs/man). No Python object is touched and no GIL is taken.
"""

from libos import calls, raw
from libos.capi import layout as c
from libos.core import channel, driving, layout, sockets, waiting
from libos.core.table import Table
from libos.runtime.memory import Heap

COMPILED = __file__.endswith(".so")
NEVER = -1


class Face:
    """The one libOS of the process, made by demi_init."""

    def __init__(self):
        self.table = Table(Heap())


FACE = Face()


def table():
    """The one table, for interpreted rooms."""
    return FACE.table


def queue(qd_out, capacity):
    """demi_queue: a queue in memory. EINVAL, ENOMEM."""
    if qd_out < c.LOWEST or capacity < 1 or capacity > 1048576:
        return calls.EINVAL
    FACE.table.lock()
    at = channel.add(FACE.table, capacity)
    FACE.table.unlock()
    if at == 0:
        return calls.ENOMEM
    raw.store32(qd_out, raw.load(at + layout.QUEUE_QD))
    return 0


def socket(qd_out, domain, kind, protocol):
    """demi_socket: IPv4, stream or datagram; the protocol is not looked at. EINVAL, ENOTSUP, the kernel's."""
    if qd_out < c.LOWEST:
        return calls.EINVAL
    if domain != calls.AF_INET or (kind != calls.SOCK_STREAM and kind != calls.SOCK_DGRAM):
        return calls.UNSUPPORTED
    FACE.table.lock()
    r = sockets.make(FACE.table, kind)
    if r > 0:
        raw.store32(qd_out, raw.load(r + layout.QUEUE_QD))
    FACE.table.unlock()
    return -r if r < 0 else 0


def socket_of(qd, stream):
    """The record of a socket, and of a stream if that is asked for; else a negative error. Under the lock."""
    at = FACE.table.queue_of(qd)
    if at == 0:
        return -calls.EBADF
    if raw.load(at + layout.KIND) == layout.MEMORY:
        return -calls.EINVAL
    if stream and raw.load(at + layout.SOCKET_TYPE) != calls.SOCK_STREAM:
        return -calls.EINVAL
    return at


def named(address, size):
    """Whether an address and its length are those of a struct sockaddr_in."""
    return address >= c.LOWEST and size == 16 and raw.load32(address) & 0xFFFF == calls.AF_INET


def bind(qd, address, size):
    """demi_bind. EBADF, EINVAL, the kernel's."""
    FACE.table.lock()
    at = socket_of(qd, False)
    if at > 0:
        r = -calls.EINVAL
        if named(address, size) and raw.load(at + layout.SOCKET_STATE) == layout.FRESH:
            r = sockets.named(at, calls.SYS_bind, address, size)
        if r == 0:
            raw.store(at + layout.SOCKET_STATE, layout.BOUND)
        at = r
    FACE.table.unlock()
    return -at


def listen(qd, backlog):
    """demi_listen. EBADF, EINVAL, EDESTADDRREQ, EADDRINUSE."""
    FACE.table.lock()
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
    FACE.table.unlock()
    return -at


def accept(qt_out, qd):
    """demi_accept. EINVAL, EBADF, EAGAIN."""
    if qt_out < c.LOWEST:
        return calls.EINVAL
    FACE.table.lock()
    at = socket_of(qd, True)
    if at > 0:
        r = calls.EINVAL
        if raw.load(at + layout.SOCKET_STATE) == layout.LISTENING:
            r = begin(qt_out, at, layout.ACCEPT)
        at = -r
    FACE.table.unlock()
    return -at


def begin(qt_out, at, opcode):
    """An operation without an array: started, its qtoken written. Under the lock."""
    operation = FACE.table.begin(opcode, at)
    if operation == 0:
        return calls.EAGAIN
    raw.store(qt_out, raw.load(operation + layout.TOKEN))
    driving.start(FACE.table, at, operation)
    return 0


def connect(qt_out, qd, address, size):
    """demi_connect. EINVAL, EBADF, EAGAIN; EISCONN, EALREADY, EOPNOTSUPP where POSIX has them."""
    if qt_out < c.LOWEST:
        return calls.EINVAL
    FACE.table.lock()
    at = socket_of(qd, True)
    if at > 0:
        state = raw.load(at + layout.SOCKET_STATE)
        if not named(address, size):
            r = calls.EINVAL
        elif state == layout.CONNECTED:
            r = calls.EISCONN
        elif state == layout.CONNECTING:
            r = calls.EALREADY
        elif state == layout.LISTENING:
            r = calls.UNSUPPORTED
        else:
            r = connecting(qt_out, at, address)
        at = -r
    FACE.table.unlock()
    return -at


def connecting(qt_out, at, address):
    """The operation keeps the address until its turn. Under the lock."""
    operation = FACE.table.begin(layout.CONNECT, at)
    if operation == 0:
        return calls.EAGAIN
    raw.copy(operation + layout.ADDRESS, address, 16)
    raw.store(at + layout.SOCKET_STATE, layout.CONNECTING)
    raw.store(qt_out, raw.load(operation + layout.TOKEN))
    driving.start(FACE.table, at, operation)
    return 0


def close(qd):
    """demi_close. EBADF."""
    return -driving.close(FACE.table, qd)


def push(qt_out, qd, sga):
    """demi_push. EINVAL, EBADF, EAGAIN."""
    return submit(qt_out, qd, sga, 0)


def pushto(qt_out, qd, sga, address, size):
    """demi_pushto: a datagram's destination; that of a stream is not looked at. EINVAL, EBADF, EAGAIN."""
    if not named(address, size):
        return calls.EBADF if FACE.table.queue_of(qd) == 0 else calls.EINVAL
    return submit(qt_out, qd, sga, address)


def submit(qt_out, qd, sga, address):
    FACE.table.lock()
    at = FACE.table.queue_of(qd)
    if at == 0:
        r = calls.EBADF
    elif qt_out < c.LOWEST or (address and raw.load(at + layout.KIND) == layout.MEMORY):
        r = calls.EINVAL
    else:
        operation = FACE.table.begin(layout.PUSH, at)
        r = taken(operation, sga) if operation else calls.EAGAIN
        if r == 0:
            if address and raw.load(at + layout.SOCKET_TYPE) == calls.SOCK_DGRAM:
                raw.copy(operation + layout.ADDRESS, address, 16)
                raw.store32(operation + layout.NOTED, 1)
            raw.store(qt_out, raw.load(operation + layout.TOKEN))
            driving.start(FACE.table, at, operation)
        elif operation:
            FACE.table.discard(operation)
    FACE.table.unlock()
    return r


def taken(operation, sga):
    """A program's array, checked, becomes the operation's, with a reference on each buffer. EINVAL, ENOMEM."""
    if sga < c.LOWEST:
        return calls.EINVAL
    count = raw.load32(sga + c.SGA_COUNT)
    if count == 0 or count > layout.SEGMENTS_MAX:
        return calls.EINVAL
    to = FACE.table.room(operation, count)
    if to == 0:
        return calls.ENOMEM
    segment = sga + c.SGA_SEGMENTS
    i = 0
    while i < count:
        buffer = raw.load(segment)
        size = raw.load32(segment + 8)
        if size == 0 or FACE.table.heap.share(buffer, size) < 0:
            break
        raw.store(to + i * 16, buffer)
        raw.store(to + i * 16 + 8, size)
        segment += c.SGA_SEGMENT
        i += 1
    if i == count:
        raw.store(operation + layout.HOLD, 0)
        return 0
    while i:
        i -= 1
        FACE.table.heap.release(FACE.table.heap.object_of(raw.load(to + i * 16)))
    FACE.table.let_go(operation)
    return calls.EINVAL


def pop(qt_out, qd):
    """demi_pop. EINVAL, EBADF, EAGAIN."""
    FACE.table.lock()
    at = FACE.table.queue_of(qd)
    if at == 0:
        r = calls.EBADF
    elif qt_out < c.LOWEST or raw.load(at + layout.SOCKET_STATE) == layout.LISTENING:
        r = calls.EINVAL
    else:
        r = begin(qt_out, at, layout.POP)
    FACE.table.unlock()
    return r


def getpeername(qd, address, length):
    """demi_getpeername. EBADF, EINVAL, the kernel's."""
    return asked(qd, calls.SYS_getpeername, address, length)


def getsockname(qd, address, length):
    """demi_getsockname. EBADF, EINVAL, the kernel's."""
    return asked(qd, calls.SYS_getsockname, address, length)


def asked(qd, call, address, length):
    FACE.table.lock()
    at = socket_of(qd, False)
    if at > 0:
        at = sockets.named(at, call, address, length) if address >= c.LOWEST and length >= c.LOWEST else -calls.EINVAL
    FACE.table.unlock()
    return -at


def getsockopt(qd, level, option, value, length):
    """demi_getsockopt: SO_LINGER, SO_KEEPALIVE, TCP_NODELAY. EBADF, EINVAL, ENOPROTOOPT, ENOTSUP."""
    if value < c.LOWEST or length < c.LOWEST:
        return calls.EBADF if FACE.table.queue_of(qd) == 0 else calls.EINVAL
    return set_or_get(calls.SYS_getsockopt, qd, level, option, value, length)


def setsockopt(qd, level, option, value, length):
    """demi_setsockopt: SO_LINGER, SO_KEEPALIVE, TCP_NODELAY. EBADF, EINVAL, ENOPROTOOPT, ENOTSUP."""
    if value < c.LOWEST or length == 0:
        return calls.EBADF if FACE.table.queue_of(qd) == 0 else calls.EINVAL
    return set_or_get(calls.SYS_setsockopt, qd, level, option, value, length)


def set_or_get(call, qd, level, option, value, length):
    FACE.table.lock()
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
    FACE.table.unlock()
    return -at


def sgaalloc(sga, size):
    """demi_sgaalloc: `sga` becomes an array of one segment of `size` bytes, or a null array, of zero segments."""
    buffer = FACE.table.heap.alloc(size) if size else 0
    raw.store(sga + c.SGA_BUF, buffer)
    raw.store32(sga + c.SGA_COUNT, 1 if buffer else 0)
    raw.store(sga + c.SGA_SEGMENTS, buffer)
    raw.store32(sga + c.SGA_SEGMENTS + 8, size if buffer else 0)


def sgafree(sga):
    """demi_sgafree: all buffers of an array, each once, or none. EINVAL for what is not the application's."""
    if sga < c.LOWEST:
        return calls.EINVAL
    count = raw.load32(sga + c.SGA_COUNT)
    if count == 0 or count > layout.SEGMENTS_MAX:
        return calls.EINVAL
    if count == 1:
        return (
            calls.EINVAL if FACE.table.heap.free(FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS))) < 0 else 0
        )
    i = 0
    while i < count:
        if not FACE.table.heap.held(FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS + i * c.SGA_SEGMENT))):
            return calls.EINVAL
        i += 1
    while i:
        i -= 1
        if not before(sga, i):
            FACE.table.heap.free(FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS + i * c.SGA_SEGMENT)))
    return 0


def before(sga, i):
    """Whether an earlier segment than the i-th lies in the same object."""
    buffer = FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS + i * c.SGA_SEGMENT))
    while i:
        i -= 1
        if FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS + i * c.SGA_SEGMENT)) == buffer:
            return True
    return False


def nanoseconds(timeout):
    """A struct timespec, NULL for ever, in ns; -2 when it isn't one."""
    if timeout == 0:
        return NEVER
    if timeout < c.LOWEST or raw.load(timeout + 8) > 999999999 or raw.load(timeout) >> 33:
        return -2
    return raw.load(timeout) * 1000000000 + raw.load(timeout + 8)


def wait(result, qtoken_at, timeout):
    """demi_wait; the qtoken is in memory at `qtoken_at`. EINVAL, ETIMEDOUT."""
    ns = nanoseconds(timeout)
    if result < c.LOWEST or ns == -2:
        return calls.EINVAL
    r = waiting.wait(FACE.table, qtoken_at, 1, ns)
    if r < 0:
        return -r
    deliver(FACE.table.record(raw.load(qtoken_at)), raw.load(qtoken_at), result)
    return 0


def wait_any(result, offset, qtokens, count, timeout):
    """demi_wait_any. EINVAL, ETIMEDOUT."""
    ns = nanoseconds(timeout)
    if result < c.LOWEST or offset < c.LOWEST or qtokens < c.LOWEST or count <= 0 or ns == -2:
        return calls.EINVAL
    r = waiting.wait(FACE.table, qtokens, count, ns)
    if r < 0:
        return -r
    raw.store32(offset, r)
    deliver(FACE.table.record(raw.load(qtokens + r * 8)), raw.load(qtokens + r * 8), result)
    return 0


def wait_next_n(results, size, count, timeout):
    """demi_wait_next_n: at least one completion, at most `size`, whichever they are. EINVAL, ETIMEDOUT."""
    ns = nanoseconds(timeout)
    if results < c.LOWEST or count < c.LOWEST or size <= 0 or ns == -2:
        return calls.EINVAL
    n = 0
    raw.store32(count, 0)
    while n < size:
        r = waiting.wait(FACE.table, 0, 0, 0 if n else ns)
        if r < 0:
            if n == 0:
                return -r
            break
        deliver(r, raw.load(r + layout.NEXT), results + n * c.QR_SIZE)
        n += 1
    raw.store32(count, n)
    return 0


def deliver(operation, qtoken, result):
    """What a taken operation has come to, as a struct demi_qresult; the record is free then."""
    opcode = raw.load32(operation + layout.OPCODE)
    error = raw.load(operation + layout.ERROR)
    raw.store32(result + c.QR_OPCODE, layout.FAILED if error else opcode)
    raw.store32(result + c.QR_QD, raw.load32(operation + layout.QD))
    raw.store(result + c.QR_QT, qtoken)
    raw.store(result + c.QR_RET, error)
    value = result + c.QR_VALUE
    if opcode == layout.ACCEPT:
        raw.store32(value, raw.load(operation + layout.VALUE))
        raw.copy(value + c.ARES_ADDRESS, operation + layout.ADDRESS, 16)
    else:
        array_out(operation, value)
    FACE.table.dismiss(operation)


def array_out(operation, sga):
    """The array of an operation as a struct demi_sgarray; a null one for a failed pop and for a connect."""
    count = raw.load(operation + layout.COUNT)
    segment = FACE.table.segments(operation + layout.COUNT)
    raw.store32(sga + c.SGA_COUNT, count)
    raw.store(sga + c.SGA_BUF, FACE.table.heap.object_of(raw.load(segment)) if count else 0)
    raw.copy(sga + c.SGA_ADDRESS, operation + layout.ADDRESS, 16)
    sga += c.SGA_SEGMENTS
    while count:
        raw.store(sga, raw.load(segment))
        raw.store32(sga + 8, raw.load(segment + 8))
        sga += c.SGA_SEGMENT
        segment += 16
        count -= 1


def count(counter):
    """demi_count: one of enum demi_counter (demi/catflap.h)."""
    if counter < 0:
        return FACE.table.heap.live()
    return FACE.table.count(counter)


def native():
    """{call: address} of the compiled calls, or nothing when interpreted."""
    if not COMPILED:
        return {}
    return {
        "queue": raw.address_of(queue),
        "socket": raw.address_of(socket),
        "bind": raw.address_of(bind),
        "listen": raw.address_of(listen),
        "accept": raw.address_of(accept),
        "connect": raw.address_of(connect),
        "close": raw.address_of(close),
        "push": raw.address_of(push),
        "pushto": raw.address_of(pushto),
        "pop": raw.address_of(pop),
        "getpeername": raw.address_of(getpeername),
        "getsockname": raw.address_of(getsockname),
        "getsockopt": raw.address_of(getsockopt),
        "setsockopt": raw.address_of(setsockopt),
        "sgaalloc": raw.address_of(sgaalloc),
        "sgafree": raw.address_of(sgafree),
        "wait": raw.address_of(wait),
        "wait_any": raw.address_of(wait_any),
        "wait_next_n": raw.address_of(wait_next_n),
        "count": raw.address_of(count),
    }
