"""Operations from their beginning to their end: tried inline, else in their queue's line until the device is ready.

Functions that say so are called under the table's lock; the others take it.
"""

from libos import calls, endpoint, raw
from libos.core import channel, layout, logs, loops, sockets

COMPILED = __file__.endswith(".so")


def attempt(table, queue, operation):
    """One try without a system call of the kernel's own sockets, under the lock: a count, -EAGAIN, or another error."""
    opcode = raw.load32(operation + layout.OPCODE)
    if raw.load(queue + layout.KIND) == layout.MEMORY:
        return channel.push(table, queue, operation) if opcode == layout.PUSH else channel.pop(table, queue, operation)
    if raw.load(queue + layout.KIND) == layout.MESSAGES:
        return table.transport.attempt(queue, operation)
    loops.use(table, queue)
    return loops.push(table, queue, operation) if opcode == layout.PUSH else loops.pop(table, queue, operation)


def in_kernel(queue):
    """Whether the operations of a queue are system calls."""
    return raw.load(queue + layout.KIND) == layout.SOCKET and raw.load(queue + layout.END) == 0


def attempt_in_kernel(table, queue, operation):
    """One try by one system call: a count, -EAGAIN, -EINPROGRESS when some is done, or another error. The lock, which
    the caller has, is given back meanwhile.
    """
    opcode = raw.load32(operation + layout.OPCODE)
    if opcode <= layout.POP and raw.load(table.head + layout.WORTH) and is_connection(queue):
        loops.use(table, queue)
    table.note(layout.SYSTEM_CALLS, 1)
    table.away()
    if opcode == layout.PUSH:
        r = sockets.push(table, queue, operation)
    elif opcode == layout.POP:
        r = sockets.pop(table, queue, operation)
    elif opcode == layout.ACCEPT:
        r = sockets.accept(queue, operation)
    else:
        r = sockets.connect(queue, operation)
    table.back()
    if opcode == layout.ACCEPT and r >= 0:
        r = sockets.accepted(table, queue, operation, r)
    return r


def is_connection(queue):
    stream = raw.load(queue + layout.SOCKET_TYPE) == calls.SOCK_STREAM
    return stream and raw.load(queue + layout.SOCKET_STATE) == layout.CONNECTED


def noted(operation, what):
    return raw.load32(operation + layout.NOTED) & what != 0


def line_of(queue, operation):
    """Where the ends of an operation's line are: inbound for pop and accept, outbound for push and connect."""
    opcode = raw.load32(operation + layout.OPCODE)
    inbound = opcode == layout.POP or opcode == layout.ACCEPT
    return queue + (layout.FIRST_IN if inbound else layout.FIRST_OUT)


def start(table, queue, operation):
    """Try a new operation unless others wait before it. Under the lock, which may be given back meanwhile."""
    line = line_of(queue, operation)
    if raw.load(queue + layout.KIND) == layout.LOG:
        logs.start(table, queue, operation)
        return
    if in_kernel(queue):
        wait_in_line(table, line, operation)
        drive_in_kernel(table, queue, line)
        table.note(layout.BLOCKED if raw.load32(operation + layout.STATE) == layout.WAITING else layout.INLINE, 1)
        return
    r = -calls.EAGAIN if raw.load(line) else attempt(table, queue, operation)
    if r == -calls.EAGAIN:
        table.note(layout.BLOCKED, 1)
        wait_in_line(table, line, operation)
    elif r == -calls.EINPROGRESS:
        table.note(layout.BLOCKED, 1)
        table.link(queue + layout.FIRST_LENT, operation)
    else:
        table.note(layout.INLINE, 1)
        end(table, queue, operation, r)


def wait_in_line(table, line, operation):
    """Under the lock."""
    table.link(line, operation)
    if raw.load32(operation + layout.OPCODE) == layout.PUSH:  # it outlives the call, after which all may be freed
        table.hold(operation)


def end(table, queue, operation, result):
    """An operation that is in no line is over. Under the lock."""
    opcode = raw.load32(operation + layout.OPCODE)
    if opcode == layout.PUSH:
        if noted(operation, layout.HELD):
            table.release(operation + layout.COUNT)
        if result >= 0:
            raw.store(operation + layout.VALUE, result)
    elif opcode == layout.POP and result >= 0:
        raw.store(operation + layout.VALUE, result)
    table.complete(operation, result)
    if raw.load(queue + layout.KIND) == layout.MEMORY and result >= 0:  # there is room now, or something to pop
        line = queue + (layout.FIRST_OUT if opcode == layout.POP else layout.FIRST_IN)
        if raw.load(line):
            drive(table, queue, line)
    elif opcode == layout.CONNECT:  # pops may wait for it
        drive(table, queue, queue + layout.FIRST_IN)


def drive(table, queue, line):
    """Try the operations of a line again, in their order, until one has to wait on. Under the lock, which may be given
    back meanwhile.
    """
    if in_kernel(queue):
        drive_in_kernel(table, queue, line)
        return
    while raw.load(line):
        operation = table.at(raw.load(line))
        r = attempt(table, queue, operation)
        if r == -calls.EAGAIN:
            return
        table.unlink(line, operation)
        if r == -calls.EINPROGRESS:  # nobody has to wait behind it any more
            table.link(queue + layout.FIRST_LENT, operation)
        else:
            end(table, queue, operation, r)


def drive_in_kernel(table, queue, line):
    """One thread at a time drives a line; who comes meanwhile has it look once more. Its queue is not closed then."""
    driven = line + layout.DRIVEN_IN - layout.FIRST_IN
    if raw.load(driven) != layout.ALONE:
        raw.store(driven, layout.ONCE_MORE)
        return
    raw.store(driven, layout.DRIVEN)
    while raw.load(line):
        operation = table.at(raw.load(line))
        r = attempt_in_kernel(table, queue, operation)
        if r == -calls.EAGAIN:
            if raw.load(driven) == layout.DRIVEN:
                break
            raw.store(driven, layout.DRIVEN)
        elif r != -calls.EINPROGRESS:
            table.unlink(line, operation)
            end(table, queue, operation, r)
    raw.store(driven, layout.ALONE)


def heard(table, qd, events):
    """The kernel has said something of a socket. Under the lock, which may be given back meanwhile."""
    queue = table.queue_of(qd)
    if queue == 0:
        return
    end = raw.load(queue + layout.END)
    if end:
        endpoint.look_next(end)
    if events & calls.EPOLL_READABLE:
        drive(table, queue, queue + layout.FIRST_IN)
    if (events & calls.EPOLL_WRITABLE or end) and table.queue_of(qd):  # it may have been closed meanwhile
        drive(table, queue, queue + layout.FIRST_OUT)


def give_up(table, queue, line):
    """All of a line completes as cancelled. Under the lock."""
    while raw.load(line):
        operation = table.at(raw.load(line))
        table.unlink(line, operation)
        end(table, queue, operation, -calls.ECANCELED)


def close(table, qd):
    """Close a queue; what is pending on it is cancelled. -EBADF for no queue."""
    logged = logs.claim_of(table, qd)
    table.lock()
    queue = sockets.at_rest(table, qd)
    fd = -1
    looped = messages = False
    if queue:
        give_up(table, queue, queue + layout.FIRST_IN)
        give_up(table, queue, queue + layout.FIRST_OUT)
        if raw.load(queue + layout.KIND) == layout.MEMORY:
            channel.close(table, queue)
        elif raw.load(queue + layout.KIND) == layout.LOG:
            logs.part(table, queue)
        elif raw.load(queue + layout.KIND) == layout.MESSAGES:
            messages = True
            fd = raw.load(queue + layout.FD)
            give_up(table, queue, queue + layout.FIRST_LENT)
            table.transport.shut(queue)
        else:
            fd = raw.load(queue + layout.FD)
            sockets.forget(table, fd)
            raw.store(table.head + layout.SOCKETS, raw.load(table.head + layout.SOCKETS) - 1)
            looped = raw.load(queue + layout.END) != 0
            if looped:
                loops.part(table, queue)
        table.remove_queue(queue)
    table.unlock()
    if looped:
        loops.release(table, qd)
    if logged:
        logs.closed(table, qd if queue else 0)
    if messages:
        table.transport.release(qd, fd)
    elif fd >= 0:
        raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)
    return 0 if queue else -calls.EBADF
