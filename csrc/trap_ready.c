/* Readiness. A set with a descriptor of ours waits on a qtoken, in the kernel's own call: the kernel objects behind our
 * descriptors and everybody else's are in one set, so masks, timeouts and triggers are the kernel's own. */
#include "trap.h"

#include <sys/resource.h>
#include <time.h>

#define WAIT(call)                                                                                                     \
    do {                                                                                                               \
        uint64_t qtoken = 0;                                                                                           \
        struct thread *t = enter();                                                                                    \
        if (HOT(t, ready, &qtoken, 0, 0, 0, 0) != CATFLAP_SLEEP) {                                                     \
            leave(t);                                                                                                  \
            return call;                                                                                               \
        }                                                                                                              \
        struct sleep outer = sleep_begin(t, qtoken);                                                                   \
        int64_t s = call;                                                                                              \
        return (int)result(sleep_end(t, outer, qtoken, CATFLAP_READY, NULL, s));                                       \
    } while (0)

static bool any_of_ours(const struct pollfd *fds, nfds_t n)
{
    struct rlimit limit;
    if (unmapped(fds) || (n > 1024 && (getrlimit(RLIMIT_NOFILE, &limit) != 0 || n > limit.rlim_cur)))
        return false; /* a count that no process can have is refused before anything is read */
    for (nfds_t i = 0; i < n; i++)
        if (lookup(fds[i].fd))
            return !bypass();
    return false;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    if (timeout == 0 || !any_of_ours(fds, n))
        return next.poll(fds, n, timeout);
    WAIT(next.poll(fds, n, timeout));
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    if (!any_of_ours(fds, n))
        return next.ppoll(fds, n, timeout, mask);
    WAIT(next.ppoll(fds, n, timeout, mask));
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
    if (unlikely(room / sizeof *fds < n))
        return next.__poll_chk(fds, n, timeout, room);
    return poll(fds, n, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
    if (unlikely(room / sizeof *fds < n))
        return next.__ppoll_chk(fds, n, timeout, mask, room);
    return ppoll(fds, n, timeout, mask);
}

/* The sets may be longer than FD_SETSIZE, since programs allocate their own, or shorter than `n` says, since programs pass
 * getdtablesize(): no further is read than to the highest number that has been ours. */
static bool any_in_sets(int n, const fd_set *r, const fd_set *w, const fd_set *e)
{
    const fd_set *sets[] = {r, w, e};
    int top = atomic_load_explicit(&descriptor_top, memory_order_relaxed), words = ((n < top ? n : top) + 63) / 64;
    for (int s = 0; s < 3; s++) {
        const unsigned long *bits = (const unsigned long *)sets[s];
        for (int i = 0; !unmapped(bits) && i < words; i++)
            for (unsigned long word = bits[i]; word; word &= word - 1)
                if (lookup(i * 64 + __builtin_ctzl(word)))
                    return !bypass();
    }
    return false;
}

EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
    if (!any_in_sets(n, r, w, e))
        return next.select(n, r, w, e, timeout);
    WAIT(next.select(n, r, w, e, timeout));
}

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask)
{
    if (!any_in_sets(n, r, w, e))
        return next.pselect(n, r, w, e, timeout, mask);
    WAIT(next.pselect(n, r, w, e, timeout, mask));
}

/* An epoll set that holds a descriptor of ours is marked; the kernel's set stays the truth about membership. */
static _Atomic uint64_t marked_sets[1024];

bool epoll_set_is_marked(int ep)
{
    return (unsigned)ep < 65536 && (atomic_load_explicit(&marked_sets[ep >> 6], memory_order_relaxed) >> (ep & 63) & 1);
}

void epoll_set_closed(int ep)
{
    if (epoll_set_is_marked(ep))
        atomic_fetch_and(&marked_sets[ep >> 6], ~(1ull << (ep & 63)));
}

EXPORT int epoll_ctl(int ep, int op, int fd, struct epoll_event *event)
{
    int r = next.epoll_ctl(ep, op, fd, event);
    if (r == 0 && op == EPOLL_CTL_ADD && lookup(fd) && (unsigned)ep < 65536 && !epoll_set_is_marked(ep))
        atomic_fetch_or(&marked_sets[ep >> 6], 1ull << (ep & 63));
    return r;
}

EXPORT int epoll_wait(int ep, struct epoll_event *events, int n, int timeout)
{
    if (timeout == 0 || !epoll_set_is_marked(ep) || bypass())
        return next.epoll_wait(ep, events, n, timeout);
    WAIT(next.epoll_wait(ep, events, n, timeout));
}

EXPORT int epoll_pwait(int ep, struct epoll_event *events, int n, int timeout, const sigset_t *mask)
{
    if (!epoll_set_is_marked(ep) || bypass())
        return next.epoll_pwait(ep, events, n, timeout, mask);
    WAIT(next.epoll_pwait(ep, events, n, timeout, mask));
}

EXPORT int epoll_pwait2(int ep, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *mask)
{
    if (!epoll_set_is_marked(ep) || bypass())
        return next.epoll_pwait2(ep, events, n, timeout, mask);
    WAIT(next.epoll_pwait2(ep, events, n, timeout, mask));
}
