"""The kernel calls of the inline paths, by name. Compiled code takes them from the C headers (calls.pxd)."""

from errno import (  # noqa: F401
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EAGAIN,
    EALREADY,
    EBADF,
    EBUSY,
    ECANCELED,
    ECONNREFUSED,
    ECONNRESET,
    EDESTADDRREQ,
    EFAULT,
    EHOSTUNREACH,
    EINPROGRESS,
    EINTR,
    EINVAL,
    EIO,
    EISCONN,
    EMFILE,
    EMSGSIZE,
    ENETDOWN,
    ENETUNREACH,
    ENODEV,
    ENOMEM,
    ENOPROTOOPT,
    ENOSPC,
    ENOTCONN,
    EPERM,
    EPIPE,
    ERANGE,
    ETIMEDOUT,
)
from errno import EOPNOTSUPP as UNSUPPORTED  # noqa: F401

POLLIN = 0x1
POLLPRI = 0x2
POLLOUT = 0x4
POLLERR = 0x8
FIONREAD = 0x541B
SIOCATMARK = 0x8905
POLLRDHUP = 0x2000
NOSIGNAL = 0x4000
PEEK = 0x2
TRUNC = 0x20
DONTWAIT = 0x40  # MSG_DONTWAIT: an inline attempt never sleeps, whatever the descriptor's mode
WAITALL = 0x100
SPINE_ONLY = 0x2001  # MSG_OOB, MSG_ERRQUEUE
LOOK_NOW = 0x10000000  # ours: ask the spine even if the ring has been empty for a moment only
SLEEPS = 0x1000000  # ours: the caller sleeps on the spine if nothing comes, so it need not be asked
OURS = 0x11000000
KEPT = 0x2022  # flags of an inline receive that the kernel is told too
READ_WRITE = 3  # PROT_READ | PROT_WRITE
RESERVED = 0x4022  # MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
SYS_read = 0
SYS_write = 1
SYS_close = 3
SYS_poll = 7
SYS_mmap = 9
SYS_munmap = 11
SYS_ioctl = 16
SYS_sched_yield = 24
SYS_socket = 41
SYS_connect = 42
SYS_sendto = 44
SYS_recvfrom = 45
SYS_sendmsg = 46
SYS_recvmsg = 47
SYS_bind = 49
SYS_shutdown = 48
SYS_listen = 50
SYS_getsockname = 51
SYS_getpeername = 52
SYS_setsockopt = 54
SYS_getsockopt = 55
SYS_unlink = 87
SYS_futex = 202
SYS_prlimit64 = 302
SYS_pwritev2 = 328
RLIMIT_FSIZE = 1
RWF_DSYNC = 2
SYS_epoll_wait = 232
SYS_epoll_ctl = 233
SYS_accept4 = 288
AF_UNIX = 1
BELL = 0x80802  # SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK
SYS_eventfd2 = 290
SYS_epoll_create1 = 291
SYS_epoll_pwait2 = 441
SOL_SOCKET = 1
SO_SNDBUF = 7
IPPROTO_TCP = 6
TCP_NOTSENT_LOWAT = 25
AF_INET = 2
AF_INET6 = 10
SOCK_STREAM = 1
SOCK_DGRAM = 2
OWN_SOCKET = 0x80800  # SOCK_CLOEXEC | SOCK_NONBLOCK, and what eventfd2(2) calls these
CLOEXEC = 0x80000
SO_REUSEADDR = 2
SO_ERROR = 4
SO_KEEPALIVE = 9
SO_LINGER = 13
SHUT_WR = 1
TCP_NODELAY = 1
FUTEX_WAIT, FUTEX_WAKE = 128, 129  # private
EPOLL_ADD = 1
EPOLL_DEL = 2
EDGES = 0x80002005  # EPOLLET | EPOLLRDHUP | EPOLLIN | EPOLLOUT
EPOLL_READABLE = 0x2019  # EPOLLIN, and EPOLLRDHUP, EPOLLERR, EPOLLHUP, after which a pop has something to say
EPOLL_WRITABLE = 0x1C  # EPOLLOUT, EPOLLERR, EPOLLHUP
