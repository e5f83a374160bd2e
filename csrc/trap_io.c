/* The data family. Everything becomes one of recv, send, recvmsg, sendmsg; forms that the kernel alone can do on a socket
 * (pread, splice, tee) are not trapped: the descriptor is a real one. */
#include "trap.h"

#define RECV(fd, buf, n, flags, call)                                                                                  \
    WALK(ssize_t, fd, buf, CATFLAP_POP, HOT(t, recv, d, buf, n, flags, &wait), call)
#define SEND(fd, buf, n, flags, call)                                                                                  \
    WALK(ssize_t, fd, buf, CATFLAP_PUSH, HOT(t, send, d, buf, n, flags, &wait), call)
#define RECVMSG(fd, msg, flags, call)                                                                                  \
    WALK(ssize_t, fd, (msg), CATFLAP_POP_MESSAGE, HOT(t, recvmsg, d, msg, flags, &wait, 0), call)
#define SENDMSG(fd, msg, flags, call)                                                                                  \
    WALK(ssize_t, fd, NULL, CATFLAP_PUSH, HOT(t, sendmsg, d, msg, flags, &wait, 0), call)

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
    /* read(fd, buf, 0) is not recv(fd, buf, 0): on a datagram socket the latter takes a datagram; and sizes below zero are
     * EFAULT here, cut off there */
    if (unlikely(n - 1 >= SSIZE_MAX))
        return next.read(fd, buf, n);
    RECV(fd, buf, n, 0, next.read(fd, buf, n));
}

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
    if (unlikely(n > SSIZE_MAX))
        return next.write(fd, buf, n);
    SEND(fd, buf, n, 0, next.write(fd, buf, n));
}

ENTRY(ssize_t, recv, (int fd, void *buf, size_t n, int flags), RECV(fd, buf, n, flags, next.recv(fd, buf, n, flags)))
ENTRY(ssize_t, send, (int fd, const void *buf, size_t n, int flags), SEND(fd, buf, n, flags, next.send(fd, buf, n, flags)))
ENTRY(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), RECVMSG(fd, msg, flags, next.recvmsg(fd, msg, flags)))
ENTRY(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), passed_go_plain(msg); SENDMSG(fd, msg, flags, next.sendmsg(fd, msg, flags)))

/* Vectors that recvmsg and sendmsg take in another way: of nothing (they would take or send a datagram, or find the
 * connection gone) and of too many segments (EINVAL here, EMSGSIZE there). */
static bool odd_vector(const struct iovec *iov, int cnt)
{
    int first = 0;
    if (unmapped(iov) || cnt > IOV_MAX)
        return true;
    while (first < cnt && iov[first].iov_len == 0)
        first++;
    return first >= cnt;
}

#define VECTOR(name, WALKED)                                                                                           \
    EXPORT ssize_t name(int fd, const struct iovec *iov, int cnt)                                                      \
    {                                                                                                                  \
        if (likely(!known(fd)) || unlikely(odd_vector(iov, cnt)))                                                      \
            return next.name(fd, iov, cnt);                                                                            \
        struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)cnt};                               \
        WALKED(fd, &msg, 0, next.name(fd, iov, cnt));                                                                  \
    }
VECTOR(readv, RECVMSG)
VECTOR(writev, SENDMSG)

/* As recvmsg with `msg`; msg_iov becomes NULL when the kernel's own call was made instead. */
#define KERNEL_RECVFROM (msg->msg_iov = NULL, next.recvfrom(fd, buf, n, flags, addr, len))
static ssize_t receive_from(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len, struct msghdr *msg)
{
    WALK(ssize_t, fd, buf, CATFLAP_POP, HOT(t, recvmsg, d, msg, flags, &wait, 0), KERNEL_RECVFROM);
}

EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
    if (!addr)
        RECV(fd, buf, n, flags, next.recvfrom(fd, buf, n, flags, addr, len));
    if (likely(!known(fd)) || (lookup(fd) && bypass()) || unmapped(len))
        return next.recvfrom(fd, buf, n, flags, addr, len);
    struct iovec iov = {buf, n};
    socklen_t room = *len;
    struct msghdr msg = {.msg_name = addr, .msg_namelen = room, .msg_iov = &iov, .msg_iovlen = 1};
    int64_t r = receive_from(fd, buf, n, flags, addr, len, &msg);
    if (r >= 0 && msg.msg_iov) /* a call that the kernel made has set the length itself */
        *len = msg.msg_namelen;
    return r;
}

static ssize_t send_to(int fd, struct msghdr *msg, const void *buf, size_t n, int flags, const struct sockaddr *addr,
                       socklen_t len)
{
    SENDMSG(fd, msg, flags, next.sendto(fd, buf, n, flags, addr, len));
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, socklen_t len)
{
    if (!addr)
        SEND(fd, buf, n, flags, next.sendto(fd, buf, n, flags, addr, len));
    struct iovec iov = {(void *)buf, n};
    struct msghdr msg = {.msg_name = (void *)addr, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};
    return send_to(fd, &msg, buf, n, flags, addr, len);
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t n)
{
    if (unlikely(offset && unmapped(offset)))
        return next.sendfile(out, in, offset, n);
    WALK(ssize_t, out, NULL, CATFLAP_PUSH, HOT(t, sendfile, d, in, offset, n, &wait), next.sendfile(out, in, offset, n));
}

/* fortified forms: an overflow is libc's to report, everything else is the plain call */
#define CHECKED(name, params, args, plain) ENTRY(ssize_t, name, params, return unlikely(n > room) ? next.name args : plain)
CHECKED(__read_chk, (int fd, void *buf, size_t n, size_t room), (fd, buf, n, room), read(fd, buf, n))
CHECKED(__recv_chk, (int fd, void *buf, size_t n, size_t room, int flags), (fd, buf, n, room, flags), recv(fd, buf, n, flags))
CHECKED(__recvfrom_chk, (int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *addr, socklen_t *len),
        (fd, buf, n, room, flags, addr, len), recvfrom(fd, buf, n, flags, addr, len))
