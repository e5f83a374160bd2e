/* The socket family. A socket is always a real kernel socket first; the host then takes it or leaves it. */
#include "trap.h"

extern _Atomic bool ring_made;

/* A new socket that stays on the kernel, and why. */
static int left(int fd, int reason)
{
    descriptor_bind(fd, NULL, reason);
    log_line("socket stays on the kernel: descriptor, reason", fd, reason);
    return fd;
}

/* Offer a new kernel socket to the host. Whatever it answers, the program has its socket. `name`: the peer's, of one accepted. */
static int offer(int fd, int domain, int type, struct sockaddr *name)
{
    if (fd < 0)
        return fd;
    if (unlikely(ring_made) && (streams_only || ops.sets))
        return left(fd, CATFLAP_KERNEL_IO_URING);
    if (unlikely(fd <= 2) && streams_only)
        return left(fd, CATFLAP_KERNEL_LEFT); /* stdio uses these numbers by itself */
    bool counted = young_worth && (type & 0xf) == SOCK_STREAM && !atomic_load(&kernel_reason);
    if (!counted && !host_ready()) {
        int reason = atomic_load(&kernel_reason);
        return reason && !in_vfork_child() ? left(fd, reason) : fd;
    }
    if (atomic_load(&host_state) == STATE_UP && in_vfork_child())
        return fd;
    if (unlikely(lookup(fd)))
        forget(fd); /* the kernel gives this number away: it was closed behind our back */
    if (counted && (young_begin(fd, domain == 0) || !host_ready()))
        return fd;
    int error = errno;
    struct thread *t = enter();
    int64_t reason = SLOW(t, adopt, fd, domain, type, 0, name);
    leave(t);
    errno = error;
    return reason ? left(fd, (int)reason) : fd;
}

EXPORT int socket(int domain, int type, int protocol)
{
    int fd = next.socket(domain, type, protocol), kind = type & 0xf;
    if (fd < 0 || (domain != AF_INET && domain != AF_INET6) || (kind != SOCK_STREAM && kind != SOCK_DGRAM) || (self && self->guard))
        return fd;
    int reason = atomic_load_explicit(&kernel_reason, memory_order_relaxed);
    if (!reason && streams_only && kind == SOCK_DGRAM)
        reason = CATFLAP_KERNEL_AUTO;
    if (reason)
        return left(fd, reason);
    return offer(fd, domain, type, NULL);
}

EXPORT int listen(int fd, int backlog)
{
    bool done = young(fd) && next.listen(fd, backlog) == 0;
    if (done)
        young_ends(fd, CATFLAP_LISTENING);
    SIMPLE(fd, SLOW(t, listen, d, backlog, 0, 0, 0), done ? 0 : next.listen(fd, backlog));
}

static int accepted(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    WALK(int, fd, addr, CATFLAP_ACCEPT, HOT(t, accept, d, addr, len, flags, &wait), next.accept4(fd, addr, len, flags));
}

EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    if (descriptor_reason(fd) == CATFLAP_LISTENING)
        return offer(next.accept4(fd, addr, len, flags), 0, SOCK_STREAM | flags, NULL);
    if (likely(!lookup(fd)) || bypass())
        return next.accept4(fd, addr, len, flags);
    return offer(accepted(fd, addr, len, flags), 0, SOCK_STREAM | flags, len ? addr : NULL);
}

ENTRY(int, accept, (int fd, struct sockaddr *addr, socklen_t *len), return likely(!known(fd)) ? next.accept(fd, addr, len) : accept4(fd, addr, len, 0))

ENTRY(int, shutdown, (int fd, int how), young_ends(fd, CATFLAP_KERNEL_LEFT); SIMPLE(fd, SLOW(t, shutdown, d, how, 0, 0, 0), next.shutdown(fd, how)))
ENTRY(int, connect, (int fd, const struct sockaddr *addr, socklen_t len), WALK(int, fd, addr, CATFLAP_CONNECT, SLOW(t, connect, d, addr, len, &wait, 0), next.connect(fd, addr, len)))
#define CALL(name, params, args, op_call) ENTRY(int, name, params, SIMPLE(fd, op_call, next.name args))
CALL(bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len), SLOW(t, bind, d, addr, len, 0, 0))
CALL(getsockname, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len), SLOW(t, name, d, 0, addr, len, 0))
CALL(getpeername, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len), SLOW(t, name, d, 1, addr, len, 0))
CALL(getsockopt, (int fd, int level, int name, void *val, socklen_t *len), (fd, level, name, val, len), SLOW(t, getsockopt, d, level, name, val, len))
CALL(setsockopt, (int fd, int level, int name, const void *val, socklen_t len), (fd, level, name, val, len), SLOW(t, setsockopt, d, level, name, val, len))
