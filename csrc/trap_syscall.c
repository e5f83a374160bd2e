/* syscall(2), by which programs go round libc: what they ask of a descriptor of ours is asked of our own trap of that name.
 *
 * Every other number is a jump to the next definition, which finds registers and stack as they came. A call made by an
 * instruction of the program's own nobody sees. */
#include "trap.h"

#include <linux/aio_abi.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <time.h>

bool epoll_set_is_marked(int ep);
void passed_go_plain(const struct msghdr *msg);
void inherited_go_plain(void);
void sandboxed(void);

/* Which calls concern us: when their first argument is a descriptor of ours, or perhaps. */
enum { NOT = 0, FIRST, PERHAPS, NUMBERS = 512 };
__attribute__((used)) static const uint8_t concern[NUMBERS] = {
    [SYS_read] = FIRST, [SYS_write] = FIRST, [SYS_readv] = FIRST, [SYS_writev] = FIRST,
    [SYS_recvfrom] = FIRST, [SYS_sendto] = FIRST, [SYS_recvmsg] = FIRST, [SYS_sendmsg] = PERHAPS,
    [SYS_sendfile] = FIRST, [SYS_shutdown] = FIRST, [SYS_accept] = FIRST, [SYS_accept4] = FIRST,
    [SYS_connect] = FIRST, [SYS_bind] = FIRST, [SYS_listen] = FIRST, [SYS_getsockname] = FIRST,
    [SYS_getpeername] = FIRST, [SYS_getsockopt] = FIRST, [SYS_setsockopt] = FIRST, [SYS_ioctl] = FIRST,
    [SYS_recvmmsg] = FIRST, [SYS_sendmmsg] = PERHAPS, [SYS_preadv2] = FIRST, [SYS_pwritev2] = FIRST,
    [SYS_fcntl] = PERHAPS, [SYS_close] = PERHAPS, [SYS_dup] = PERHAPS, [SYS_dup2] = PERHAPS,
    [SYS_dup3] = PERHAPS, [SYS_close_range] = PERHAPS, [SYS_poll] = PERHAPS, [SYS_ppoll] = PERHAPS,
    [SYS_select] = PERHAPS, [SYS_pselect6] = PERHAPS, [SYS_epoll_ctl] = PERHAPS, [SYS_epoll_wait] = PERHAPS,
    [SYS_epoll_pwait] = PERHAPS, [SYS_epoll_pwait2] = PERHAPS, [SYS_splice] = PERHAPS, [SYS_io_submit] = PERHAPS,
    [SYS_pidfd_getfd] = PERHAPS, [SYS_execve] = PERHAPS, [SYS_execveat] = PERHAPS, [SYS_io_uring_setup] = PERHAPS,
    [SYS_io_uring_enter] = PERHAPS, [SYS_io_uring_register] = PERHAPS,
    [SYS_prctl] = PERHAPS, [SYS_seccomp] = PERHAPS,
};

_Atomic bool ring_made; /* an io_uring, whose operations name descriptors where we can't see it */

/* What a ring of the kernel's may be asked for is the kernel's, from its first operation on. */
static void all_go_plain(void)
{
    if (atomic_exchange(&ring_made, true) || !ops.sets)
        return;
    for (unsigned fd = 0; descriptor_next(&fd, ~0u); fd++)
        go_plain((int)fd);
}

static void submitted_go_plain(long n, struct iocb **blocks)
{
    for (long i = 0; !unmapped(blocks) && i < n && i < 4096; i++)
        if (!unmapped(blocks[i]))
            go_plain((int)blocks[i]->aio_fildes);
}

/* Before calls whose arguments only the kernel knows how to read: the connections in them go back to it. */
static void leave_before(long n, long a, long b, long c)
{
    switch (n) {
    case SYS_recvmmsg: case SYS_preadv2: case SYS_pwritev2: go_plain((int)a); break;
    case SYS_splice: go_plain((int)a); go_plain((int)c); break;
    case SYS_io_submit: submitted_go_plain(b, (struct iocb **)c); break;
    case SYS_pidfd_getfd: go_plain((int)b); break; /* perhaps of this very process */
    case SYS_execve: case SYS_execveat: inherited_go_plain(); break;
    case SYS_io_uring_enter: case SYS_io_uring_register: all_go_plain(); break;
    case SYS_prctl: if (a == PR_SET_SECCOMP && (b == SECCOMP_MODE_STRICT || c)) sandboxed(); break;
    case SYS_seccomp: if (a == SECCOMP_SET_MODE_STRICT || (a == SECCOMP_SET_MODE_FILTER && c)) sandboxed(); break;
    }
}

/* ppoll and pselect6, which say how much of the time is left, as libc's do not. */
static long timed(long n, long a, long b, long c, long d, struct timespec *time, long f)
{
    struct timespec given = time && !unmapped(time) ? *time : (struct timespec){0}, before, after;
    struct { const sigset_t *mask; size_t size; } *masked = (void *)f;
    clock_gettime(CLOCK_MONOTONIC, &before);
    long r = n == SYS_ppoll ? ppoll((void *)a, (nfds_t)b, time ? &given : NULL, (void *)d)
                            : pselect((int)a, (void *)b, (void *)c, (void *)d, time ? &given : NULL,
                                      masked ? masked->mask : NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (!time || (r == -1 && errno != EINTR))
        return r;
    int error = errno;
    int64_t left = (given.tv_sec - after.tv_sec + before.tv_sec) * 1000000000ll + given.tv_nsec - after.tv_nsec + before.tv_nsec;
    given = (struct timespec){left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};
    struct iovec from = {&given, sizeof given}, to = {time, sizeof given};
    next.syscall(SYS_process_vm_writev, syscall(SYS_getpid), (long)&from, 1, (long)&to, 1, 0); /* it may be a constant */
    errno = error;
    return r;
}

/* The call as our trap of that name makes it; unlike that one, it is no cancellation point. */
static long trapped(long n, long a, long b, long c, long d, long e, long f)
{
    int fd = (int)a;
    switch (n) {
    case SYS_read: return read(fd, (void *)b, (size_t)c);
    case SYS_write: return write(fd, (void *)b, (size_t)c);
    case SYS_readv: return readv(fd, (void *)b, (int)c);
    case SYS_writev: return writev(fd, (void *)b, (int)c);
    case SYS_recvfrom: return recvfrom(fd, (void *)b, (size_t)c, (int)d, (void *)e, (void *)f);
    case SYS_sendto: return sendto(fd, (void *)b, (size_t)c, (int)d, (void *)e, (socklen_t)f);
    case SYS_recvmsg: return recvmsg(fd, (void *)b, (int)c);
    case SYS_sendmsg: return sendmsg(fd, (void *)b, (int)c);
    case SYS_sendmmsg: return sendmmsg(fd, (void *)b, (unsigned)c, (int)d);
    case SYS_sendfile: return sendfile(fd, (int)b, (void *)c, (size_t)d);
    case SYS_shutdown: return shutdown(fd, (int)b);
    case SYS_accept: return accept(fd, (void *)b, (void *)c);
    case SYS_accept4: return accept4(fd, (void *)b, (void *)c, (int)d);
    case SYS_connect: return connect(fd, (void *)b, (socklen_t)c);
    case SYS_bind: return bind(fd, (void *)b, (socklen_t)c);
    case SYS_listen: return listen(fd, (int)b);
    case SYS_getsockname: return getsockname(fd, (void *)b, (void *)c);
    case SYS_getpeername: return getpeername(fd, (void *)b, (void *)c);
    case SYS_getsockopt: return getsockopt(fd, (int)b, (int)c, (void *)d, (void *)e);
    case SYS_setsockopt: return setsockopt(fd, (int)b, (int)c, (void *)d, (socklen_t)e);
    case SYS_ioctl: return ioctl(fd, (unsigned long)b, c);
    case SYS_fcntl: return fcntl(fd, (int)b, c);
    case SYS_close: return close(fd);
    case SYS_dup: return dup(fd);
    case SYS_dup2: return dup2(fd, (int)b);
    case SYS_dup3: return dup3(fd, (int)b, (int)c);
    case SYS_close_range: return close_range((unsigned)a, (unsigned)b, (int)c);
    case SYS_poll: return poll((void *)a, (nfds_t)b, (int)c);
    case SYS_select: return select(fd, (void *)b, (void *)c, (void *)d, (void *)e);
    case SYS_ppoll: return timed(n, a, b, c, d, (void *)c, 0);
    case SYS_pselect6: return timed(n, a, b, c, d, (void *)e, f);
    case SYS_epoll_ctl: return epoll_ctl(fd, (int)b, (int)c, (void *)d);
    case SYS_epoll_wait: return epoll_wait(fd, (void *)b, (int)c, (int)d);
    case SYS_epoll_pwait: return epoll_pwait(fd, (void *)b, (int)c, (int)d, (void *)e);
    case SYS_epoll_pwait2: return epoll_pwait2(fd, (void *)b, (int)c, (void *)d, (void *)e);
    default: return next.syscall(n, a, b, c, d, e, f);
    }
}

/* Whether one of our traps of that name has something to do. */
static bool for_trap(long n, long a, long b, long c, long e, long f)
{
    switch (n) {
    case SYS_fcntl: return (b == F_SETFL || b == F_DUPFD || b == F_DUPFD_CLOEXEC) && (lookup((int)a) || epoll_set_is_marked((int)a));
    case SYS_close: return lookup((int)a) || descriptor_reason((int)a) == CATFLAP_OWN || epoll_set_is_marked((int)a);
    case SYS_dup: return lookup((int)a) || epoll_set_is_marked((int)a);
    case SYS_dup2: case SYS_dup3:
        return lookup((int)a) || lookup((int)b) || epoll_set_is_marked((int)a) || epoll_set_is_marked((int)b);
    case SYS_epoll_wait: case SYS_epoll_pwait: case SYS_epoll_pwait2: return epoll_set_is_marked((int)a);
    case SYS_epoll_ctl: return lookup((int)c) || epoll_set_is_marked((int)c);
    case SYS_sendmsg: case SYS_sendmmsg: return ops.sets; /* they may pass a descriptor of ours on */
    case SYS_close_range: case SYS_poll: case SYS_select:
        return atomic_load_explicit(&descriptor_top, memory_order_relaxed) != 0;
    case SYS_ppoll: return ops.sets && !unmapped(c == 0 ? 65536 : c);
    case SYS_pselect6: return ops.sets && !unmapped(e == 0 ? 65536 : e) && !unmapped(f == 0 ? 65536 : f);
    default: return concern[n] == FIRST;
    }
}

/* No jump out of it: that would write the seventh argument's place, which in most calls is a variable of the caller's. */
__attribute__((used, optimize("no-optimize-sibling-calls"))) static long concerned(long n, long a, long b, long c, long d, long e, long f)
{
    int state;
    if (concern[n] == FIRST && !lookup((int)a))
        return next.syscall(n, a, b, c, d, e, f);
    leave_before(n, a, b, c);
    if (!for_trap(n, a, b, c, e, f)) {
        long r = next.syscall(n, a, b, c, d, e, f);
        if (n == SYS_io_uring_setup && r >= 0)
            all_go_plain();
        return r;
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    long r = trapped(n, a, b, c, d, e, f);
    pthread_setcancelstate(state, NULL);
    return r;
}

/* Declared with a C name of its own: libc's is variadic. */
EXPORT long syscall_trap(void) __asm__("syscall");
__attribute__((naked)) long syscall_trap(void)
{
    __asm__("cmp %0, %%rdi\n\t"
            "jae 1f\n\t"
            "lea concern(%%rip), %%r10\n\t"
            "cmpb $0, (%%r10,%%rdi)\n\t"
            "jne concerned\n"
            "1:\tjmp *next+%c1(%%rip)"
            :
            : "i"(NUMBERS), "i"(offsetof(struct next_table, syscall)));
}
