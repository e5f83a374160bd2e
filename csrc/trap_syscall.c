/* syscall(2), by which programs go round libc: what they ask of a descriptor of ours is asked of our own trap of that name.
 *
 * Every other number is a jump to the next definition, which finds registers and stack as they came. A call made by an
 * instruction of the program's own nobody sees. */
#include "trap.h"

#include <linux/aio_abi.h>
#include <sys/sendfile.h>

void sandboxed(void);

#define OURS known((int)a)
#define SET epoll_set_is_marked((int)a)
#define MANY (ops.sets || young_ever)
#define TOP (atomic_load_explicit(&descriptor_top, memory_order_relaxed) != 0)
/* SYSCALLS: those of our traps (interpose/traps.py); name, when the trap has something to do, and how it is asked. */

/* Which calls concern us: those, and what leave_before() knows. */
enum { NUMBERS = 512 };
#define CONCERN(name, when, call) [SYS_##name] = 1,
__attribute__((used)) static const uint8_t concern[NUMBERS] = {
    SYSCALLS(CONCERN)[SYS_preadv2] = 1, [SYS_pwritev2] = 1, [SYS_splice] = 1, [SYS_io_submit] = 1,
    [SYS_pidfd_getfd] = 1, [SYS_io_uring_setup] = 1, [SYS_io_uring_enter] = 1, [SYS_io_uring_register] = 1, [SYS_prctl] = 1,
    [SYS_seccomp] = 1,
};

_Atomic bool ring_made; /* an io_uring, whose operations name descriptors where we can't see it */

/* What a ring of the kernel's may be asked for is the kernel's, from its first operation on. */
static void all_go_plain(void)
{
    if (atomic_exchange(&ring_made, true) || (!ops.sets && !young_ever))
        return;
    for (unsigned fd = 0; descriptor_next(&fd, ~0u, false); fd++)
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
    case SYS_preadv2: case SYS_pwritev2: go_plain((int)a); break;
    case SYS_splice: go_plain((int)a); go_plain((int)c); break;
    case SYS_io_submit: submitted_go_plain(b, (struct iocb **)c); break;
    case SYS_pidfd_getfd: go_plain((int)b); break; /* perhaps of this very process */
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

/* The call as our trap of that name makes it; unlike that one, it is no cancellation point. No jump out of it: that would
 * write the seventh argument's place, which in most calls is a variable of the caller's. */
#define CASE(name, when, call)                                                                                         \
    case SYS_##name:                                                                                                   \
        if (!(when))                                                                                                   \
            break;                                                                                                     \
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);                                                        \
        r = call;                                                                                                      \
        pthread_setcancelstate(state, NULL);                                                                           \
        return r;
__attribute__((used, optimize("no-optimize-sibling-calls"))) static long concerned(long n, long a, long b, long c, long d, long e, long f)
{
    int state, fd = (int)a;
    long r;
    leave_before(n, a, b, c);
    switch (n) { SYSCALLS(CASE) }
    r = next.syscall(n, a, b, c, d, e, f);
    if (n == SYS_io_uring_setup && r >= 0)
        all_go_plain();
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
