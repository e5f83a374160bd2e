"""Options of TCP sockets that the stack has too (socket(7), tcp(7), ipv6(7)), by (level, name)."""

import _socket

from libos.net import structs
from libos.net.tcp import user

IPPROTO_IPV6, IPV6_V6ONLY = 41, 26
TCP_USER_TIMEOUT = 18
SWITCHES = {
    (_socket.IPPROTO_TCP, _socket.TCP_NODELAY): structs.NODELAY,
    (_socket.IPPROTO_TCP, _socket.TCP_CORK): structs.CORK,
    (_socket.SOL_SOCKET, _socket.SO_KEEPALIVE): structs.KEEPALIVE,
    (_socket.SOL_SOCKET, _socket.SO_REUSEADDR): structs.REUSE_ADDRESS,
    (_socket.SOL_SOCKET, _socket.SO_REUSEPORT): structs.REUSE_PORT,
    (IPPROTO_IPV6, IPV6_V6ONLY): structs.V6_ONLY,
}
NUMBERS = (
    (_socket.IPPROTO_TCP, _socket.TCP_KEEPIDLE),
    (_socket.IPPROTO_TCP, _socket.TCP_KEEPINTVL),
    (_socket.IPPROTO_TCP, _socket.TCP_KEEPCNT),
    (_socket.IPPROTO_TCP, TCP_USER_TIMEOUT),
)
KNOWN = frozenset((*SWITCHES, *NUMBERS))


def set_number(tcp, record, name, value):
    """One of NUMBERS: seconds, a count, or for TCP_USER_TIMEOUT milliseconds."""
    c = structs.tcb(record)
    if name == _socket.TCP_KEEPIDLE:
        c.keep_idle = value
    elif name == _socket.TCP_KEEPINTVL:
        c.keep_interval = value
    elif name == _socket.TCP_KEEPCNT:
        c.keep_count = value
    else:
        c.user_timeout = value
    tcp.host.changed(record, structs.tcb_size())


def take_over(tcp, record, sock, names=KNOWN):
    """Give a record what a kernel socket has set, of the options `names`."""
    for level, name in names:
        try:
            value = sock.getsockopt(level, name)
        except OSError:
            continue  # not of this family
        if (level, name) in SWITCHES:
            user.set_option(tcp, record, SWITCHES[level, name], value != 0)
        else:
            set_number(tcp, record, name, value)
