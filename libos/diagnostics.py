"""Who is at the other end of a local TCP connection: socket diagnostics for an exact 4-tuple (sock_diag(7)).

Works without privilege. A 4-tuple alone is no identity (reuse, address translation, squatting); the answer's cookie
names one live socket of this network namespace, and its uid says whose it is.
"""

import _socket
import struct

SOL_SOCKET, SO_COOKIE = 1, 57
AF_INET, AF_INET6, AF_NETLINK, NETLINK_SOCK_DIAG = 2, 10, 16, 4
SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR = 20, 1, 2
IPPROTO_TCP, ESTABLISHED = 6, 1
MAPPED = bytes(10) + b"\xff\xff"


class Peer:
    """The socket at the other end: its cookie, the uid of its owner."""

    def __init__(self, cookie, uid):
        self.cookie = cookie
        self.uid = uid


KIND = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK  # the answer is there with the question


def wrapped(fd):
    """A Python socket around a descriptor whose mode stays as it is: a program that is a Python may have set a default
    time-out (socket.setdefaulttimeout), which is meant for its own sockets, makes them non-blocking and waits in them.
    """
    return _socket.socket(-1, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK, -1, fd)


def cookie(sock):
    """The cookie of a socket of ours (socket(7), SO_COOKIE)."""
    return struct.unpack("=Q", sock.getsockopt(SOL_SOCKET, SO_COOKIE, 8))[0]


def numbers(name):
    """(family, address bytes, port) of a Python socket name; an IPv4 address inside IPv6 is IPv4."""
    host, port = name[0], name[1]
    if ":" not in host:
        return AF_INET, _socket.inet_pton(AF_INET, host), port
    packed = _socket.inet_pton(AF_INET6, host.partition("%")[0])
    if packed.startswith(MAPPED):
        return AF_INET, packed[12:], port
    return AF_INET6, packed, port


def peer_of(sock):
    """The Peer of a connected TCP socket, or None when it isn't a socket of this network namespace."""
    family, here, here_port = numbers(sock.getsockname())
    _, there, there_port = numbers(sock.getpeername())
    # inet_diag_req_v2: the socket we look for has our peer's address as its own
    identity = struct.pack("!HH16s16s", there_port, here_port, there, here) + struct.pack(
        "=III", 0, 0xFFFFFFFF, 0xFFFFFFFF
    )
    request = struct.pack("=BBBBI", family, IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + identity
    message = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0) + request
    netlink = _socket.socket(AF_NETLINK, KIND, NETLINK_SOCK_DIAG)
    try:
        netlink.sendto(message, (0, 0))
        answer = netlink.recv(4096)
    finally:
        netlink.close()
    if len(answer) < 16 + 72 or struct.unpack_from("=H", answer, 4)[0] == NLMSG_ERROR:
        return None
    state = answer[17]
    cookie_low, cookie_high = struct.unpack_from("=II", answer, 16 + 44)  # inet_diag_msg.id.idiag_cookie
    uid = struct.unpack_from("=I", answer, 16 + 64)[0]  # inet_diag_msg.idiag_uid
    if state != ESTABLISHED:
        return None
    return Peer(cookie_high << 32 | cookie_low, uid)
