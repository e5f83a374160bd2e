"""demi/sga.h, and the arrays of other calls: struct demi_sgarray as it lies in the memory of a program."""

from libos import calls, raw
from libos.capi import layout as c
from libos.capi import process
from libos.core import layout

COMPILED = __file__.endswith(".so")


def sgaalloc(sga, size):
    """demi_sgaalloc: `sga` becomes an array of one segment of `size` bytes, or a null array, of zero segments."""
    buffer = process.FACE.table.heap.alloc(size) if size else 0
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
            calls.EINVAL
            if process.FACE.table.heap.free(process.FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS))) < 0
            else 0
        )
    i = 0
    while i < count:
        if not process.FACE.table.heap.held(
            process.FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS + i * c.SGA_SEGMENT))
        ):
            return calls.EINVAL
        i += 1
    while i:
        i -= 1
        if not before(sga, i):
            process.FACE.table.heap.free(
                process.FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS + i * c.SGA_SEGMENT))
            )
    return 0


def before(sga, i):
    """Whether an earlier segment than the i-th lies in the same object."""
    buffer = process.FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS + i * c.SGA_SEGMENT))
    while i:
        i -= 1
        if process.FACE.table.heap.object_of(raw.load(sga + c.SGA_SEGMENTS + i * c.SGA_SEGMENT)) == buffer:
            return True
    return False


def taken(operation, sga):
    """A program's array, checked, becomes the operation's. EINVAL, ENOMEM."""
    if sga < c.LOWEST:
        return calls.EINVAL
    count = raw.load32(sga + c.SGA_COUNT)
    if count == 0 or count > layout.SEGMENTS_MAX:
        return calls.EINVAL
    to = process.FACE.table.room(operation, count)
    if to == 0:
        return calls.ENOMEM
    segment = sga + c.SGA_SEGMENTS
    i = 0
    while i < count:
        buffer = raw.load(segment)
        size = raw.load32(segment + 8)
        if size == 0 or not process.FACE.table.heap.holds(buffer, size):
            process.FACE.table.let_go(operation)
            return calls.EINVAL
        raw.store(to + i * 16, buffer)
        raw.store(to + i * 16 + 8, size)
        segment += c.SGA_SEGMENT
        i += 1
    return 0


def array_out(operation, sga):
    """The array of an operation as a struct demi_sgarray; a null one for a failed pop and for a connect."""
    count = raw.load(operation + layout.COUNT)
    segment = process.FACE.table.segments(operation + layout.COUNT)
    raw.store32(sga + c.SGA_COUNT, count)
    raw.store(sga + c.SGA_BUF, process.FACE.table.heap.object_of(raw.load(segment)) if count else 0)
    raw.copy(sga + c.SGA_ADDRESS, operation + layout.ADDRESS, layout.NAME_6)
    sga += c.SGA_SEGMENTS
    while count:
        raw.store(sga, raw.load(segment))
        raw.store32(sga + 8, raw.load(segment + 8))
        sga += c.SGA_SEGMENT
        segment += 16
        count -= 1
