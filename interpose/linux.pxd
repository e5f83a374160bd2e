cdef extern from "<errno.h>" nogil:
    int EAGAIN, EBADF, EINTR, ENOTSOCK, ENOMEM, EINVAL, EIO, ESPIPE

cdef extern from "<sys/socket.h>" nogil:
    int MSG_DONTWAIT, MSG_WAITALL, MSG_PEEK, MSG_ERRQUEUE, SOCK_NONBLOCK, SOCK_STREAM, SOCK_DGRAM, MSG_TRUNC

cdef extern from "<sys/syscall.h>" nogil:
    long SYS_pread64, SYS_read, SYS_lseek, SYS_bind, SYS_listen, SYS_shutdown, SYS_getsockname, SYS_getpeername
    long SYS_getsockopt, SYS_setsockopt, SYS_sendfile
