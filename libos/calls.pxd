cdef extern from "<sys/syscall.h>" nogil:
    long SYS_recvfrom, SYS_sendto, SYS_recvmsg, SYS_sendmsg, SYS_accept4, SYS_connect, SYS_mmap

cdef extern from "<sys/socket.h>" nogil:
    int DONTWAIT "MSG_DONTWAIT"

cdef extern from "<errno.h>" nogil:
    int UNSUPPORTED "EOPNOTSUPP"

cdef extern from "<sys/mman.h>" nogil:
    int READ_WRITE "(PROT_READ|PROT_WRITE)"
    int RESERVED "(MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE)"
