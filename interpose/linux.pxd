cdef extern from "<errno.h>" nogil:
    int EAGAIN, EBADF, EINTR, ENODEV, ENOTSOCK, ENOMEM, EINVAL, EIO, ESPIPE

cdef extern from "<sys/socket.h>" nogil:
    int MSG_DONTWAIT, MSG_WAITALL, MSG_PEEK, MSG_ERRQUEUE, SOCK_NONBLOCK, SOCK_STREAM, SOCK_DGRAM, MSG_TRUNC

cdef extern from "<sys/socket.h>" nogil:
    int MSG_OOB
    int SHUT_RD, SHUT_WR

cdef extern from "<sys/epoll.h>" nogil:
    unsigned int EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLRDNORM, EPOLLWRNORM, EPOLLHUP, EPOLLRDHUP "0x2000u", EPOLLEXCLUSIVE "(1u<<28)", EPOLLONESHOT "(1u<<30)", EPOLLET "(1u<<31)"
    int EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD

cdef extern from "<fcntl.h>" nogil:
    int O_NONBLOCK, F_GETFL, O_APPEND, O_WRONLY, O_ACCMODE, AT_EMPTY_PATH, SYNC_FILE_RANGE_WRITE

cdef extern from "<poll.h>" nogil:
    unsigned int POLLIN, POLLOUT, POLLERR, POLLRDNORM "0x40", POLLWRNORM "0x100", POLLRDHUP "0x2000"

cdef extern from "<sys/syscall.h>" nogil:
    long SYS_fcntl, SYS_poll, SYS_epoll_wait, SYS_epoll_ctl
    long SYS_pread64, SYS_read, SYS_lseek, SYS_bind, SYS_listen, SYS_shutdown, SYS_getsockname, SYS_getpeername
    long SYS_getsockopt, SYS_setsockopt, SYS_sendfile, SYS_preadv, SYS_statx, SYS_sync_file_range
