/* Calls that we don't serve on a connection, and places where we can't follow it: it goes back to the kernel first, for
 * good, and nothing is lost. What we sent the peer finds in the ring before it looks at the kernel; what we have not read the
 * peer sends once more, and is waited for, though not for ever: a peer that does nothing at all can't. */
#include "trap.h"

enum { PATIENCE = 500 }; /* milliseconds */

bool go_plain(int fd)
{
    int64_t r = 0;
    young_ends(fd, CATFLAP_KERNEL_LEFT);
    if (unlikely(file_marked(fd)))
        file_told(fd, CATFLAP_MOVED, -1);
    if (unlikely(ops.sets) && lookup(fd) && !bypass_hot() && !(ops.guarded && in_vfork_child()))
        TELL_OF(fd, for (int turns = 0; (r = HOT(t, leave, d, 0, 0, 0, 0)) == 1 && turns < PATIENCE; turns++)
                        syscall(SYS_nanosleep, &(struct timespec){0, 1000000}, NULL));
    return r == 2;
}

/* The traps of which no more is to be said. */
#define TRAP(result, name, params, args, fd)
#define TRAP_PLAIN(result, name, params, args, fd) ENTRY(result, name, params, go_plain(fd); return next.name args)
#include "traps.def"
#undef TRAP

EXPORT ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags)
{
    go_plain(in);
    go_plain(out);
    return next.splice(in, in_offset, out, out_offset, n, flags);
}

EXPORT int lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *event)
{
    for (int i = 0; !unmapped(list) && i < n; i++)
        go_plain(unmapped(list[i]) ? -1 : list[i]->aio_fildes);
    return next.lio_listio(mode, list, n, event);
}

#define PRINTED(name, params, plain)                                                                                   \
    EXPORT int name params                                                                                             \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        va_start(ap, format);                                                                                          \
        int r = plain;                                                                                                 \
        va_end(ap);                                                                                                    \
        return r;                                                                                                      \
    }
PRINTED(dprintf, (int fd, const char *format, ...), vdprintf(fd, format, ap))
PRINTED(__dprintf_chk, (int fd, int flag, const char *format, ...), __vdprintf_chk(fd, flag, format, ap))

/* Descriptors in a message to another process (unix(7), SCM_RIGHTS). */
void passed_go_plain(const struct msghdr *msg)
{
    if (likely(!ops.sets && !young_ever) || unmapped(msg) || likely(!msg->msg_control))
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++)
                go_plain(((int *)CMSG_DATA(c))[i]);
}

/* Messages of datagrams that stay ours go one by one; a time-out is over with the first. `passed`: of all others. */
#define MESSAGES(name, params, args, passed, one, then)                                                                \
    EXPORT int name params                                                                                             \
    {                                                                                                                  \
        unsigned i = 0;                                                                                                \
        if (!go_plain(fd) || unmapped(msgs)) {                                                                         \
            for (; (ops.sets || young_ever) && !unmapped(msgs) && i < n && i < 1024; i++)                              \
                passed;                                                                                                \
            return next.name args;                                                                                     \
        }                                                                                                              \
        for (ssize_t r; i < n && (r = one(fd, &msgs[i].msg_hdr, flags & ~MSG_WAITFORONE)) >= 0; i++, flags |= then)    \
            msgs[i].msg_len = (unsigned)r;                                                                             \
        return i || !n ? (int)i : -1;                                                                                  \
    }
MESSAGES(sendmmsg, (int fd, struct mmsghdr *msgs, unsigned n, int flags), (fd, msgs, n, flags),
         passed_go_plain(&msgs[i].msg_hdr), sendmsg, 0)
MESSAGES(recvmmsg, (int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout), (fd, msgs, n, flags, timeout),
         break, recvmsg, (timeout || flags & MSG_WAITFORONE ? MSG_DONTWAIT : 0))

/* The process is about to forbid itself system calls (seccomp(2)), and those that we make are not those it allows itself: all
 * it has and will have is the kernel's. Other processes that share a connection go back with it. */
void sandboxed(void)
{
    if (in_vfork_child())
        return;
    atomic_store(&kernel_reason, CATFLAP_KERNEL_SECCOMP);
    for (unsigned fd = 0; descriptor_next(&fd, ~0u, false); fd++) {
        go_plain((int)fd);
        forget((int)fd);
        descriptor_bind((int)fd, NULL, CATFLAP_KERNEL_SECCOMP);
    }
    atomic_store(&host_state, STATE_OFF);
}

/* The host's files, which a connection may need later, are not there any more. */
EXPORT int chroot(const char *path)
{
    if (descriptor_next(&(unsigned){0}, ~0u, false) && !in_vfork_child())
        host_ready();
    return next.chroot(path);
}

/* Declared with a C name of its own: libc's is variadic. */
EXPORT int prctl_trap(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) __asm__("prctl");
int prctl_trap(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    if (option == PR_SET_SECCOMP && (a == SECCOMP_MODE_STRICT || b)) /* no filter: it only asks whether it could */
        sandboxed();
    return next.prctl(option, a, b, c, d);
}
