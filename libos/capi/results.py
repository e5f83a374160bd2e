"""demi/wait.h: waiting, and results as struct demi_qresult."""

from libos import calls, raw
from libos.capi import arrays, process
from libos.capi import layout as c
from libos.core import layout, waiting

COMPILED = __file__.endswith(".so")
NEVER = -1


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
    r = waiting.wait(process.FACE.table, qtoken_at, 1, ns)
    if r < 0:
        return -r
    deliver(process.FACE.table.record(raw.load(qtoken_at)), raw.load(qtoken_at), result)
    return 0


def wait_any(result, offset, qtokens, count, timeout):
    """demi_wait_any. EINVAL, ETIMEDOUT."""
    ns = nanoseconds(timeout)
    if result < c.LOWEST or offset < c.LOWEST or qtokens < c.LOWEST or count <= 0 or ns == -2:
        return calls.EINVAL
    r = waiting.wait(process.FACE.table, qtokens, count, ns)
    if r < 0:
        return -r
    raw.store32(offset, r)
    deliver(process.FACE.table.record(raw.load(qtokens + r * 8)), raw.load(qtokens + r * 8), result)
    return 0


def wait_next_n(results, size, count, timeout):
    """demi_wait_next_n: at least one completion, at most `size`, whichever they are. EINVAL, ETIMEDOUT."""
    ns = nanoseconds(timeout)
    if results < c.LOWEST or count < c.LOWEST or size <= 0 or ns == -2:
        return calls.EINVAL
    n = 0
    raw.store32(count, 0)
    while n < size:
        r = waiting.wait(process.FACE.table, 0, 0, 0 if n else ns)
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
    error = raw.load32(operation + layout.ERROR)
    raw.store32(result + c.QR_OPCODE, layout.FAILED if error else opcode)
    raw.store32(result + c.QR_QD, raw.load32(operation + layout.QD))
    raw.store(result + c.QR_QT, qtoken)
    raw.store(result + c.QR_RET, error)
    value = result + c.QR_VALUE
    if opcode == layout.ACCEPT:
        raw.store32(value, raw.load(operation + layout.VALUE))
        raw.copy(value + c.ARES_ADDRESS, operation + layout.ADDRESS, layout.NAME_6)
    else:
        arrays.array_out(operation, value)
    waiting.finish(process.FACE.table, operation)
