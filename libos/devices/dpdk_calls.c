/* What DPDK asks of the C library and the kernel, in a process that is another's (ld(1), --wrap): its descriptors lie where the
 * program does not see them, its calls pass no trap of ours, its memory is in no child, its threads take no signal, it writes
 * nowhere, and what its interrupt thread does to a port it does while nobody uses that. */
#define _GNU_SOURCE
#include "dpdk.h"

#include "libos/raw.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

bool dpdk_measures;

#define WRAP(result, name, ...) result __wrap_##name(__VA_ARGS__); result __wrap_##name(__VA_ARGS__)
#define MOST 64

/* Numbers that are ours for good. A free one stands for `spare`. */
static struct {
    int number, spare;
    atomic_int used;
} numbers[MOST];

/* `list`: `count` numbers and what stands there while they are free. */
EXPORT int catflap_dpdk_numbers(const int *list, uintptr_t count, uintptr_t spare)
{
    for (uintptr_t i = 0; i < count && i < MOST; i++) {
        numbers[i].number = list[i];
        numbers[i].spare = (int)spare;
    }
    return 0;
}

static long result(long r)
{
    if (r >= 0 || r < -4095)
        return r;
    errno = (int)-r;
    return -1;
}

/* Move a descriptor to one of those; where none is free it stays where it is. */
static int hidden(int fd)
{
    for (int i = 0, no = 0; fd >= 0 && i < MOST && numbers[i].number; i++, no = 0) {
        if (!atomic_compare_exchange_strong(&numbers[i].used, &no, 1))
            continue;
        if (raw_syscall(SYS_dup3, fd, numbers[i].number, O_CLOEXEC, 0, 0, 0) < 0)
            break;
        raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
        return numbers[i].number;
    }
    return fd;
}

WRAP(int, close, int fd)
{
    for (int i = 0; fd > 0 && i < MOST && numbers[i].number; i++)
        if (numbers[i].number == fd) {
            long r = raw_syscall(SYS_dup3, numbers[i].spare, fd, O_CLOEXEC, 0, 0, 0);
            atomic_store(&numbers[i].used, 0);
            return (int)result(r < 0 ? r : 0);
        }
    return (int)result(raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0));
}

#define ONE(name, number, params, a, b, c, d, e, f) \
    WRAP(long, name, params) \
    { \
        return result(raw_syscall(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))); \
    }
#define MAKER(name, params, ...) \
    WRAP(int, name, params) { return hidden((int)result(raw_syscall(__VA_ARGS__))); }
#define P(...) __VA_ARGS__

static long open_at(int folder, const char *path, int flags, va_list more)
{
    return result(raw_syscall(SYS_openat, folder, (long)path, flags | O_CLOEXEC, flags & O_CREAT ? va_arg(more, int) : 0, 0, 0));
}

WRAP(int, open64, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int fd = hidden((int)open_at(AT_FDCWD, path, flags, more));
    va_end(more);
    return fd;
}

WRAP(int, openat64, int folder, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int fd = hidden((int)open_at(folder, path, flags, more));
    va_end(more);
    return fd;
}

MAKER(socket, P(int family, int kind, int protocol), SYS_socket, family, kind | SOCK_CLOEXEC, protocol, 0, 0, 0)
MAKER(accept, P(int fd, void *name, void *size), SYS_accept4, fd, (long)name, (long)size, SOCK_CLOEXEC, 0, 0)
MAKER(eventfd, P(unsigned n, int flags), SYS_eventfd2, n, flags | O_CLOEXEC, 0, 0, 0, 0)
MAKER(epoll_create, P(int size), SYS_epoll_create1, size ? O_CLOEXEC : O_CLOEXEC, 0, 0, 0, 0, 0)
MAKER(epoll_create1, P(int flags), SYS_epoll_create1, flags | O_CLOEXEC, 0, 0, 0, 0, 0)
MAKER(timerfd_create, P(int clock, int flags), SYS_timerfd_create, clock, flags | O_CLOEXEC, 0, 0, 0, 0)
MAKER(memfd_create, P(const char *name, unsigned flags), SYS_memfd_create, (long)name, flags | 1 /* MFD_CLOEXEC */, 0, 0, 0, 0)

WRAP(int, pipe, int *ends)
{
    if (result(raw_syscall(SYS_pipe2, (long)ends, O_CLOEXEC, 0, 0, 0, 0)) < 0)
        return -1;
    ends[0] = hidden(ends[0]);
    ends[1] = hidden(ends[1]);
    return 0;
}

WRAP(ssize_t, recvmsg, int fd, struct msghdr *message, int flags)
{
    ssize_t r = result(raw_syscall(SYS_recvmsg, fd, (long)message, flags | MSG_CMSG_CLOEXEC, 0, 0, 0));
    for (struct cmsghdr *c = r >= 0 ? CMSG_FIRSTHDR(message) : NULL; c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            int *fds = (int *)CMSG_DATA(c);
            for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof *fds; i++)
                fds[i] = hidden(fds[i]);
        }
    return r;
}

ONE(read, SYS_read, P(int fd, void *at, size_t n), fd, at, n, 0, 0, 0)
ONE(__read_chk, SYS_read, P(int fd, void *at, size_t n, size_t room), fd, at, n < room ? n : room, 0, 0, 0)
ONE(write, SYS_write, P(int fd, const void *at, size_t n), fd, at, n, 0, 0, 0)
ONE(recv, SYS_recvfrom, P(int fd, void *at, size_t n, int flags), fd, at, n, flags, 0, 0)
ONE(sendto, SYS_sendto, P(int fd, const void *at, size_t n, int flags, const void *to, unsigned size), fd, at, n, flags, to, size)
ONE(sendmsg, SYS_sendmsg, P(int fd, const void *message, int flags), fd, message, flags | MSG_NOSIGNAL, 0, 0, 0)
ONE(bind, SYS_bind, P(int fd, const void *name, unsigned size), fd, name, size, 0, 0, 0)
ONE(listen, SYS_listen, P(int fd, int backlog), fd, backlog, 0, 0, 0, 0)
ONE(epoll_ctl, SYS_epoll_ctl, P(int ep, int how, int fd, void *event), ep, how, fd, event, 0, 0)

/* A peer that stands still is none: who has no room for a connection, or does not answer for three seconds. */
WRAP(int, connect, int fd, const void *name, unsigned size)
{
    struct timeval patience = {3, 0};
    long flags = raw_syscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
    raw_syscall(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK, 0, 0, 0);
    long r = raw_syscall(SYS_connect, fd, (long)name, size, 0, 0, 0);
    raw_syscall(SYS_fcntl, fd, F_SETFL, flags, 0, 0, 0);
    raw_syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, (long)&patience, sizeof patience, 0);
    return (int)result(r);
}

/* A driver that waits for ever, in the program's thread, looks; the one that looks each second for sockets that it has been given
 * since does so sooner. */
#define AT_MOST(ms) ((ms) < 0 ? 0 : (ms) > 50 ? 50 : (ms))
ONE(poll, SYS_poll, P(void *list, unsigned long n, int ms), list, n, AT_MOST(ms), 0, 0, 0)
ONE(__poll_chk, SYS_poll, P(void *list, unsigned long n, int ms, size_t room), list, room ? n : 0, AT_MOST(ms), 0, 0, 0)

/* Only the interrupt thread waits here: whatever it does between two waits (a peer comes, or goes, and its rings are unmapped) is
 * not done while frames are on their way through those. What had happened before it has them all to itself is asked for anew: the
 * descriptor may be closed, and its number another's. */
WRAP(int, epoll_wait, int ep, struct epoll_event *events, int limit, int ms)
{
    static bool held;
    int n;
    if (held)
        dpdk_release();
    held = false;
    while ((n = (int)result(raw_syscall(SYS_epoll_pwait, ep, (long)events, limit, ms, 0, 8))) > 0) {
        dpdk_hold();
        if ((n = (int)result(raw_syscall(SYS_epoll_pwait, ep, (long)events, limit, 0, 0, 8))) > 0) {
            held = true;
            break;
        }
        dpdk_release();
    }
    return n;
}

/* What it maps is shared with peers and devices, or holds what is: a forked child has none of it. */
WRAP(void *, mmap64, void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    long r = result(raw_syscall(SYS_mmap, (long)at, (long)length, protection, flags, fd, offset));
    if (r != -1)
        raw_syscall(SYS_madvise, r, (long)length, MADV_DONTFORK, 0, 0, 0);
    return (void *)r;
}

WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = __real_pthread_create(thread, attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

/* Of the 100 ms that it takes to measure the clock of a virtual processor a tenth is enough: it rounds to 10 MHz. */
WRAP(int, nanosleep, const struct timespec *time, struct timespec *left)
{
    struct timespec tenth = {0, time->tv_nsec / 10};
    return (int)result(raw_syscall(SYS_nanosleep, (long)(dpdk_measures ? &tenth : time), (long)left, 0, 0, 0, 0));
}

/* No folder for files that there aren't; nothing to the system's log, whose name for the program is the program's. */
WRAP(int, mkdir, const char *path, unsigned mode) { return !path && mode; }
WRAP(void, openlog, const char *name, int options, int facility) { (void)name, (void)options, (void)facility; }
WRAP(void, closelog, void) {}
WRAP(void, __syslog_chk, int priority, int checked, const char *text, ...) { (void)priority, (void)checked, (void)text; }
WRAP(ssize_t, writev, int fd, const struct iovec *parts, int count) /* of its stack */
{
    (void)fd, (void)parts, (void)count;
    return 0;
}

WRAP(int, __fprintf_chk, FILE *file, int checked, const char *text, ...)
{
    (void)file, (void)checked, (void)text;
    return 0;
}
