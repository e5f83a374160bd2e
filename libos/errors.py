"""What can go wrong in a libOS, by kind. No numbers: interpose/errors.py has the table of what POSIX calls them."""

import enum


class Kind(enum.Enum):
    """The reason of a Fail."""

    BAD_QUEUE = "no such queue descriptor"
    INVALID = "invalid argument"
    UNSUPPORTED = "not supported by this libOS"
    CANCELED = "the queue was closed"
    TIMED_OUT = "the time-out has passed"
    WOULD_BLOCK = "nothing there now"
    NO_MEMORY = "out of memory"
    NO_SPACE = "no room left on the device"
    IN_USE = "address in use"
    REFUSED = "connection refused"
    RESET = "connection reset by the peer"
    NOT_CONNECTED = "not connected"
    DEVICE = "the device failed"


KERNEL = {
    "EADDRINUSE": Kind.IN_USE,
    "ECONNREFUSED": Kind.REFUSED,
    "ECONNRESET": Kind.RESET,
    "EPIPE": Kind.RESET,
    "ENOTCONN": Kind.NOT_CONNECTED,
    "EBADF": Kind.BAD_QUEUE,
    "EINVAL": Kind.INVALID,
    "EOPNOTSUPP": Kind.UNSUPPORTED,
    "EAFNOSUPPORT": Kind.UNSUPPORTED,
    "ENOMEM": Kind.NO_MEMORY,
    "ENOSPC": Kind.NO_SPACE,
    "ETIMEDOUT": Kind.TIMED_OUT,
}


class Fail(Exception):
    """An operation failed: `kind`, the words, and the kernel's own errno where it came from there (else None)."""

    def __init__(self, kind, cause="", errno=None):
        super().__init__(cause or kind.value)
        self.kind = kind
        self.errno = errno

    def number(self):
        """The errno that a kernel socket would have failed with; None where it has none for this."""
        import errno

        return self.errno or next((getattr(errno, name) for name, kind in KERNEL.items() if kind is self.kind), None)

    @classmethod
    def of_kernel(cls, error):
        """The Fail for an OSError of a kernel-backed device; keeps its number opaque."""
        from errno import errorcode

        name = errorcode.get(error.errno, "")
        return cls(KERNEL.get(name, Kind.DEVICE), error.strerror or str(error), error.errno)
