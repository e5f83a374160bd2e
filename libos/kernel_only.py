"""Socket options whose work is done on the kernel's own data: a connection that has one set is the kernel's alone.

Time stamps and byte counts in control messages, completions of zero-copy sends, places to peek at, packet filters,
protocols above TCP (kernel TLS), repair (socket(7), tcp(7); msg_zerocopy, timestamping and tls of the kernel's
documentation).
"""

SOL_SOCKET, IPPROTO_TCP = 1, 6
SO_ATTACH_FILTER, SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING, SO_PEEK_OFF = 26, 29, 35, 37, 42
SO_ATTACH_BPF, SO_ZEROCOPY, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW = 50, 60, 63, 64, 65
TCP_REPAIR, TCP_ULP, TCP_ZEROCOPY_RECEIVE, TCP_INQ = 19, 31, 35, 36
EACCES = 13
SEEN = (  # those that getsockopt(2) tells, some for others too
    *((SOL_SOCKET, name) for name in (SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING, SO_TIMESTAMP_NEW)),
    *((SOL_SOCKET, name) for name in (SO_ZEROCOPY, SO_PEEK_OFF, SO_ATTACH_FILTER)),
    *((IPPROTO_TCP, name) for name in (TCP_INQ, TCP_REPAIR, TCP_ULP)),
)
ALL = {*SEEN, *((SOL_SOCKET, name) for name in (SO_ATTACH_BPF, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW))}


def found(sock):
    """Whether a TCP socket has one of the options set; one that this kernel does not know is not."""
    for level, option in SEEN:
        try:
            value = sock.getsockopt(level, option, 64)
        except OSError as error:
            if option == SO_ATTACH_FILTER and error.errno == EACCES:  # a filter that can't be shown
                return True
            continue
        if value.strip(b"\xff" if option == SO_PEEK_OFF else b"\0"):
            return True
    return False
