cdef extern from "<sys/syscall.h>" nogil:
    long SYS_recvfrom, SYS_sendto, SYS_recvmsg, SYS_sendmsg, SYS_accept4, SYS_connect, SYS_mmap, SYS_sched_yield, SYS_poll, SYS_ioctl, SYS_setsockopt, SYS_getsockopt
    long SYS_read, SYS_write, SYS_close, SYS_munmap, SYS_socket, SYS_bind, SYS_shutdown, SYS_listen, SYS_getsockname, SYS_getpeername, SYS_epoll_wait, SYS_epoll_ctl, SYS_eventfd2, SYS_epoll_create1
    long SYS_futex, SYS_prlimit64, SYS_pwritev2, SYS_unlink
    long SYS_epoll_pwait2 "441"

cdef extern from "<sys/socket.h>" nogil:
    int SOL_SOCKET, SO_SNDBUF, SO_ERROR, SO_REUSEADDR, SO_KEEPALIVE, SO_LINGER, SHUT_WR, AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM, SOCK_DGRAM
    int OWN_SOCKET "(SOCK_CLOEXEC|SOCK_NONBLOCK)"
    int CLOEXEC "SOCK_CLOEXEC"
    int BELL "(SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK)"
    int DONTWAIT "MSG_DONTWAIT"
    int POLLIN "0x1"
    int POLLPRI "0x2"
    int POLLOUT "0x4"
    int POLLERR "0x8"
    int FIONREAD "0x541B"
    int SIOCATMARK "0x8905"
    int POLLRDHUP "0x2000"
    int NOSIGNAL "MSG_NOSIGNAL"
    int PEEK "MSG_PEEK"
    int TRUNC "MSG_TRUNC"
    int WAITALL "MSG_WAITALL"
    int SPINE_ONLY "(MSG_OOB|MSG_ERRQUEUE)"
    int LOOK_NOW "0x10000000"
    int SLEEPS "0x1000000"
    int OURS "0x11000000"
    int KEPT "(MSG_PEEK|MSG_TRUNC|MSG_ERRQUEUE)"

cdef extern from "<errno.h>" nogil:
    int UNSUPPORTED "EOPNOTSUPP"
    int EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EALREADY, EBADF, EBUSY, EPERM, ECANCELED, ECONNREFUSED, ECONNRESET, EDESTADDRREQ, EFAULT, EHOSTUNREACH, EINPROGRESS, EINTR, EINVAL, EIO, EISCONN, EMFILE, EMSGSIZE, ENETDOWN, ENETUNREACH, ENODEV, ENOMEM, ENOPROTOOPT, ENOSPC, ENOTCONN, EPIPE, ERANGE, ETIMEDOUT

cdef extern from "<sys/mman.h>" nogil:
    int READ_WRITE "(PROT_READ|PROT_WRITE)"
    int RESERVED "(MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE)"

cdef extern from "<sys/resource.h>" nogil:
    int RLIMIT_FSIZE

cdef extern from "<linux/fs.h>" nogil:
    int RWF_DSYNC

cdef extern from "<netinet/in.h>" nogil:
    int IPPROTO_TCP

cdef extern from "<linux/tcp.h>" nogil:
    int TCP_NOTSENT_LOWAT
    int TCP_NODELAY

cdef extern from "<sys/epoll.h>" nogil:
    int EPOLL_ADD "EPOLL_CTL_ADD"
    int EPOLL_DEL "EPOLL_CTL_DEL"
    unsigned int EDGES "((uint32_t)EPOLLET|EPOLLRDHUP|EPOLLIN|EPOLLOUT)"
    unsigned int EPOLL_READABLE "(EPOLLIN|EPOLLRDHUP|EPOLLERR|EPOLLHUP)"
    unsigned int EPOLL_WRITABLE "(EPOLLOUT|EPOLLERR|EPOLLHUP)"

cdef extern from "<linux/futex.h>" nogil:
    int FUTEX_WAIT "FUTEX_WAIT_PRIVATE"
    int FUTEX_WAKE "FUTEX_WAKE_PRIVATE"
