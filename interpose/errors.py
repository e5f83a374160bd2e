"""THE errno table: what the program sees for an error of a libOS or of our own Python."""

import errno

KINDS = {
    "BAD_QUEUE": errno.EBADF,
    "INVALID": errno.EINVAL,
    "UNSUPPORTED": errno.EOPNOTSUPP,
    "CANCELED": errno.ECANCELED,
    "TIMED_OUT": errno.ETIMEDOUT,
    "WOULD_BLOCK": errno.EAGAIN,
    "NO_MEMORY": errno.ENOMEM,
    "NO_SPACE": errno.ENOSPC,
    "IN_USE": errno.EADDRINUSE,
    "REFUSED": errno.ECONNREFUSED,
    "RESET": errno.ECONNRESET,
    "NOT_CONNECTED": errno.ENOTCONN,
}


def errno_of(error):
    """The errno for an exception: the kernel's own where it came from there, the table's for a libOS error kind."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return number
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    kind = getattr(error, "kind", None)
    return KINDS.get(getattr(kind, "name", kind), errno.EIO)
