"""Who has a port on the kernel, whoever has the socket: by netlink(7), sock_diag(7)."""

import _socket
import struct

COMPILED = __file__.endswith(".so")
DIAGNOSE, BY_FAMILY, DUMP = 4, 20, 0x301
ERROR, DONE = 2, 3
LISTEN, ANY = 1 << 10, 0xFFFFFFFF  # states


def there(family, protocol, port, states):
    """Whether a socket of the kernel's has a port, in one of some states. Raises OSError."""
    kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
    sock = _socket.socket(_socket.AF_NETLINK, kind, DIAGNOSE)
    try:
        asked = struct.pack("=BBBxI", family, protocol, 0, states)
        asked += struct.pack(">HH", port, 0) + bytes(32 + 4 + 8)
        sock.send(struct.pack("=IHHII", 16 + len(asked), BY_FAMILY, DUMP, 1, 0) + asked)
        kind = struct.unpack_from("=IH", sock.recv(65536))[1]
        if kind == ERROR:
            raise OSError(95, "the kernel does not say who has it")
        return kind != DONE
    finally:
        sock.close()


def listens(family, port):
    """Whether a TCP socket of the kernel's listens on a port. Raises OSError."""
    return there(family, _socket.IPPROTO_TCP, port, LISTEN)
