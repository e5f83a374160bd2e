"""The calls of demi/libos.h that begin an operation and write its qtoken."""

from libos import calls, raw
from libos.capi import arrays, names, process
from libos.capi import layout as c
from libos.core import driving, layout

COMPILED = __file__.endswith(".so")


def accept(qt_out, qd):
    """demi_accept. EINVAL, EBADF, EAGAIN."""
    if qt_out < c.LOWEST:
        return calls.EINVAL
    process.FACE.table.lock()
    at = names.socket_of(qd, True)
    if at > 0:
        r = calls.EINVAL
        if raw.load(at + layout.SOCKET_STATE) == layout.LISTENING:
            r = begin(qt_out, at, layout.ACCEPT)
        at = -r
    process.FACE.table.unlock()
    return -at


def begin(qt_out, at, opcode):
    """An operation without an array: started, its qtoken written. Under the lock."""
    operation = process.FACE.table.begin(opcode, at)
    if operation == 0:
        return calls.EAGAIN
    raw.store(qt_out, raw.load(operation + layout.TOKEN))
    driving.start(process.FACE.table, at, operation)
    return 0


def connect(qt_out, qd, address, size):
    """demi_connect. EINVAL, EBADF, EAGAIN; EISCONN, EALREADY, EOPNOTSUPP where POSIX has them."""
    if qt_out < c.LOWEST:
        return calls.EINVAL
    process.FACE.table.lock()
    at = names.socket_of(qd, True)
    if at > 0:
        state = raw.load(at + layout.SOCKET_STATE)
        if not names.named_for(at, address, size):
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
    process.FACE.table.unlock()
    if at == 0 and raw.load(process.FACE.table.head + layout.MESSAGING):
        process.FACE.table.transport.call(qd)
    return -at


def connecting(qt_out, at, address):
    """The operation keeps the address until its turn. Under the lock."""
    operation = process.FACE.table.begin(layout.CONNECT, at)
    if operation == 0:
        return calls.EAGAIN
    raw.copy(operation + layout.ADDRESS, address, raw.load(at + layout.NAME_SIZE))
    raw.store(at + layout.SOCKET_STATE, layout.CONNECTING)
    raw.store(qt_out, raw.load(operation + layout.TOKEN))
    driving.start(process.FACE.table, at, operation)
    return 0


def push(qt_out, qd, sga):
    """demi_push. EINVAL, EBADF, EAGAIN."""
    return submit(qt_out, qd, sga, 0, 0)


def pushto(qt_out, qd, sga, address, size):
    """demi_pushto: a datagram's destination; that of a stream is not looked at. EINVAL, EBADF, EAGAIN."""
    if not names.named(address, size):
        return calls.EBADF if process.FACE.table.queue_of(qd) == 0 else calls.EINVAL
    return submit(qt_out, qd, sga, address, size)


def submit(qt_out, qd, sga, address, size):
    process.FACE.table.lock()
    at = process.FACE.table.queue_of(qd)
    if at == 0:
        r = calls.EBADF
    elif qt_out < c.LOWEST or (address and not names.is_socket(at)):
        r = calls.EINVAL
    elif address and raw.load(at + layout.SOCKET_TYPE) == calls.SOCK_DGRAM and raw.load(at + layout.NAME_SIZE) != size:
        r = calls.EINVAL
    else:
        operation = process.FACE.table.begin(layout.PUSH, at)
        r = arrays.taken(operation, sga) if operation else calls.EAGAIN
        if r == 0:
            if address and raw.load(at + layout.SOCKET_TYPE) == calls.SOCK_DGRAM:
                raw.copy(operation + layout.ADDRESS, address, size)
                raw.store32(operation + layout.NOTED, layout.ADDRESSED)
            raw.store(qt_out, raw.load(operation + layout.TOKEN))
            driving.start(process.FACE.table, at, operation)
        elif operation:
            process.FACE.table.discard(operation)
    process.FACE.table.unlock()
    return r


def pop(qt_out, qd):
    """demi_pop. EINVAL, EBADF, EAGAIN."""
    process.FACE.table.lock()
    at = process.FACE.table.queue_of(qd)
    if at == 0:
        r = calls.EBADF
    elif qt_out < c.LOWEST or raw.load(at + layout.SOCKET_STATE) == layout.LISTENING:
        r = calls.EINVAL
    else:
        r = begin(qt_out, at, layout.POP)
    process.FACE.table.unlock()
    return r
