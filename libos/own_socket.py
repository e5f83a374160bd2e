"""Kernel sockets as Python objects, in an interpreter that may be the program's: socket.setdefaulttimeout changes what
`_socket.socket` makes, and the mode of a descriptor that it is given. One called non-blocking is left alone.
"""

import _socket

from libos.memory_file import high

UNTOUCHED = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK


def made(family, kind, protocol=0):
    """A new non-blocking socket of ours."""
    return _socket.socket(family, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK, protocol)


def standing_for(fd):
    """An object for a descriptor, whose mode stays what it is; no call of the object ever waits for a time-out."""
    return _socket.socket(-1, UNTOUCHED, -1, fd)


def raised(sock):
    """The same socket, out of the way of the program's numbers. ConnectionResetError where the program has closed its
    number before, which by then stands for another one.
    """
    family = sock.family
    copy = standing_for(high(sock.detach()))
    if copy.family != family:
        copy.close()
        raise ConnectionResetError("closed by the program")
    return copy
