"""The calls of demi/storage.h. All but demi_pread are done when they return; they have the volume alone meanwhile."""

from libos import calls, raw
from libos.capi import layout as c
from libos.capi import process
from libos.core import driving, layout, logs

COMPILED = __file__.endswith(".so")
OPEN, UNLINK, RENAME, LSEEK, BOUNDS, TRUNCATE, FTRUNCATE, NAMES = 0, 1, 2, 3, 4, 5, 6, 7
CALLS = ("open", "unlink", "rename", "lseek", "bounds", "truncate", "ftruncate", "names")
LARGEST = 1048576  # bytes of a demi_pread
WORDS = (2, 1, 2, 4, 3, 2, 2, 4)  # how many each is called with


def asked(what, a, b, d, e):
    """One of CALLS: what it returns, or a negative error."""
    if raw.load(process.FACE.table.head + layout.LOGS) == 0:
        return -calls.UNSUPPORTED
    logs.claim(process.FACE.table)
    r = carried_out(what, a, b, d, e)
    logs.release(process.FACE.table)
    return r


def carried_out(what, a, b, d, e):
    """With the GIL."""
    try:
        return process.FACE.table.stores.call(CALLS[what], *(a, b, d, e)[: WORDS[what]])
    except BaseException:
        return -calls.EIO


def asked_of(what, qd, a, b, d):
    """The same of a log's queue."""
    queue = process.FACE.table.queue_of(qd)
    if queue == 0:
        return -calls.EBADF
    if raw.load(queue + layout.KIND) != layout.LOG:
        return -calls.EINVAL
    return asked(what, qd, a, b, d)


def open(qd_out, name, flags):
    """demi_open. EINVAL, ENOTSUP, EMFILE, ENOSPC, EIO."""
    if qd_out < c.LOWEST or name < c.LOWEST:
        return calls.EINVAL
    r = asked(OPEN, name, flags, 0, 0)
    if r < 0:
        return -r
    raw.store32(qd_out, r)
    return 0


def unlink(name):
    """demi_unlink. EINVAL, ENOTSUP, ENOSPC, EIO."""
    return -asked(UNLINK, name, 0, 0, 0) if name >= c.LOWEST else calls.EINVAL


def rename(old, new):
    """demi_rename. EINVAL, ENOTSUP, ENOSPC, EIO."""
    return -asked(RENAME, old, new, 0, 0) if old >= c.LOWEST and new >= c.LOWEST else calls.EINVAL


def names(prefix, to, room, size_out):
    """demi_names. EINVAL, ENOTSUP, ERANGE, EIO."""
    if prefix < c.LOWEST or size_out < c.LOWEST or (room and to < c.LOWEST):
        return calls.EINVAL
    return -asked(NAMES, prefix, to, room, size_out)


def lseek(qd, offset, whence, offset_out):
    """demi_lseek. EBADF, EINVAL."""
    if offset_out < c.LOWEST:
        return calls.EINVAL
    return -asked_of(LSEEK, qd, offset, whence, offset_out)


def bounds(qd, first_out, end_out):
    """demi_bounds. EBADF, EINVAL."""
    if first_out < c.LOWEST or end_out < c.LOWEST:
        return calls.EINVAL
    return -asked_of(BOUNDS, qd, first_out, end_out, 0)


def truncate(qd, offset):
    """demi_truncate. EBADF, EINVAL."""
    return -asked_of(TRUNCATE, qd, offset, 0, 0)


def ftruncate(qd, length):
    """demi_ftruncate. EBADF, EINVAL, ENOSPC, EIO."""
    return -asked_of(FTRUNCATE, qd, length, 0, 0)


def pread(qt_out, qd, size, offset):
    """demi_pread. EBADF, EINVAL, EAGAIN."""
    process.FACE.table.lock()
    at = process.FACE.table.queue_of(qd)
    if at == 0:
        r = calls.EBADF
    elif qt_out < c.LOWEST or raw.load(at + layout.KIND) != layout.LOG or size == 0 or size > LARGEST or offset < 0:
        r = calls.EINVAL
    else:
        operation = process.FACE.table.begin(layout.POP, at)
        r = calls.EAGAIN
        if operation:
            raw.store(operation + layout.ADDRESS, offset)
            raw.store(operation + layout.ADDRESS + 8, size)
            raw.store32(operation + layout.NOTED, layout.ADDRESSED)
            raw.store(qt_out, raw.load(operation + layout.TOKEN))
            driving.start(process.FACE.table, at, operation)
            r = 0
    process.FACE.table.unlock()
    return r
