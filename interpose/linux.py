"""Linux x86-64 numbers that the POSIX layer names. Compiled code takes them from the C headers (linux.pxd)."""

from errno import EAGAIN, EBADF, EINTR, EINVAL, EIO, ENOMEM, ENOTSOCK, ESPIPE  # noqa: F401

EPOLLIN = POLLIN = 0x1
EPOLLOUT = POLLOUT = 0x4
EPOLLRDNORM = POLLRDNORM = 0x40
EPOLLWRNORM = POLLWRNORM = 0x100
EPOLLERR = POLLERR = 0x8
EPOLLHUP = 0x10
EPOLLRDHUP = 0x2000
EPOLLEXCLUSIVE = 1 << 28
EPOLLONESHOT = 1 << 30
EPOLLET = 1 << 31
EPOLL_CTL_ADD = 1
EPOLL_CTL_DEL = 2
EPOLL_CTL_MOD = 3
POLLRDHUP = 0x2000
MSG_OOB = 0x1
MSG_PEEK = 0x2
SHUT_RD = 0
SHUT_WR = 1
MSG_TRUNC = 0x20
MSG_DONTWAIT = 0x40
MSG_WAITALL = 0x100
MSG_ERRQUEUE = 0x2000
SOCK_STREAM = 1
SOCK_DGRAM = 2
SOCK_NONBLOCK = 0o4000
O_NONBLOCK = 0o4000
F_GETFL = 3
SYS_read = 0
SYS_fcntl = 72
SYS_poll = 7
SYS_epoll_wait = 232
SYS_epoll_ctl = 233
SYS_lseek = 8
SYS_pread64 = 17
SYS_sendfile = 40
SYS_shutdown = 48
SYS_bind = 49
SYS_listen = 50
SYS_getsockname = 51
SYS_getpeername = 52
SYS_setsockopt = 54
SYS_getsockopt = 55
