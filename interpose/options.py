"""Socket options (socket(7), tcp(7), ip(7)): the kernel holds their values; the table says which ones we must know.

Each row: (level, option) -> (size in bytes, what to do with the new value of a description).
"""

from libos import kernel_only, raw

SOL_SOCKET = 1
SO_SNDBUF, SO_RCVBUF, SO_RCVLOWAT = 7, 8, 18
SO_RCVTIMEO, SO_SNDTIMEO = 20, 21


def low_water(description, value):
    description.lowat = value if value > 0 else 1
    description.bounds()


def buffers(description, value):
    """The kernel doubles and bounds the value: it is asked for the outcome."""
    description.bounds()


def timeout_of(name):
    """SO_RCVTIMEO and SO_SNDTIMEO for waits of our own: a struct timeval of 64-bit fields."""

    def remember(description, value):
        if hasattr(description, name):
            setattr(description, name, min(value, 1 << 62))

    return remember


WATCHED = {
    (SOL_SOCKET, SO_RCVLOWAT): (4, low_water),
    (SOL_SOCKET, SO_SNDBUF): (4, buffers),
    (SOL_SOCKET, SO_RCVBUF): (4, buffers),
    (SOL_SOCKET, SO_RCVTIMEO): (16, timeout_of("receive_timeout")),
    (SOL_SOCKET, SO_SNDTIMEO): (16, timeout_of("send_timeout")),
}


def changed(description, level, option, address, length):
    """A setsockopt has succeeded: remember what changes how we try an operation inline. True when only the kernel can
    serve the connection from now on.
    """
    row = WATCHED.get((level, option))
    if row and length >= row[0]:
        if row[0] == 4:
            row[1](description, raw.load32(address))
        else:
            seconds, micros = raw.load(address), raw.load(address + 8)
            row[1](description, seconds * 10**9 + micros * 1000)
    return (level, option) in kernel_only.ALL
