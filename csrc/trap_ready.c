/* Readiness. A set with a descriptor of ours is shown to the host. Where all its devices are kernel objects the thread waits
 * on a qtoken in the kernel's own call, so that masks, timeouts and triggers are the kernel's own; where the host has data
 * of its own it answers for both, and the thread sleeps on the set and its bell. */
#include "trap.h"

#include <sys/resource.h>

#define FOREVER (-1)
#define NEVER INT64_MAX

/* wait.deadline of a time-out: NEVER, or a moment of CLOCK_MONOTONIC (1, long past, for none at all). */
static int64_t deadline_of(int64_t timeout)
{
    struct timespec now;
    if (timeout <= 0)
        return timeout < 0 ? NEVER : 1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec + timeout;
}

/* A time that the kernel refuses. */
static bool odd_time(const struct timespec *t) { return t && (unmapped(t) || t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec > 999999999); }

static int64_t timeout_of(const struct timespec *t) { return !t || t->tv_sec > 9000000000ll ? FOREVER : t->tv_sec * 1000000000ll + t->tv_nsec; }

/* The walk of a set: what the host finds, or `call` on the kernel where the host leaves it to it. */
#define WAIT(op_call, on, n_on, timeout_ns, mask, call)                                                                \
    do {                                                                                                               \
        struct thread *t = enter();                                                                                    \
        struct catflap_wait wait = wait_begin(t);                                                                      \
        wait.deadline = deadline_of(timeout_ns);                                                                       \
        int64_t outcome;                                                                                                     \
        while ((outcome = op_call) == CATFLAP_WAIT && (outcome = wait_sleep(t, &wait, on, n_on, mask, false)) == 0)                \
            ;                                                                                                          \
        if (outcome != CATFLAP_SLEEP) {                                                                                      \
            if (wait.qtoken)                                                                                           \
                HOT(t, woke, wait.qtoken, CATFLAP_READY, 0, 0, 0);                                                     \
            leave(t);                                                                                                  \
            return (int)result(outcome);                                                                                     \
        }                                                                                                              \
        if (!wait.qtoken) {                                                                                            \
            leave(t);                                                                                                  \
            return call;                                                                                               \
        }                                                                                                              \
        struct sleep outer = sleep_begin(t, wait.qtoken);                                                              \
        int64_t s = call;                                                                                              \
        return (int)result(sleep_end(t, outer, wait.qtoken, CATFLAP_READY, NULL, s));                                  \
    } while (0)

/* An epoll set that holds a descriptor of ours is marked; the kernel's set stays the truth about membership. */
static _Atomic uint64_t marked_sets[1024];
/* Threads that began to wait in the kernel for a set when it had no mark: nobody else counts them. One that was cancelled or
 * jumped out of its call stays counted, which only keeps connections on the kernel. OUT_OF_SIGHT: this number may have
 * another one, or be waited for as a descriptor, in another set or by poll(2). */
static _Atomic uint16_t unseen_waits[65536];
#define OUT_OF_SIGHT 0x8000

bool epoll_set_is_marked(int ep)
{
    return (unsigned)ep < 65536 && (atomic_load_explicit(&marked_sets[ep >> 6], memory_order_relaxed) >> (ep & 63) & 1);
}

/* Whether a wait for `ep` is the kernel's alone; unseen_end() when it is over. */
static bool unseen_begin(int ep)
{
    if (epoll_set_is_marked(ep))
        return false;
    if ((unsigned)ep >= 65536)
        return true;
    atomic_fetch_add(&unseen_waits[ep], 1);
    if (likely(!epoll_set_is_marked(ep)))
        return true;
    atomic_fetch_sub(&unseen_waits[ep], 1);
    return false;
}

static int unseen_end(int ep, int result)
{
    uint16_t n = (unsigned)ep < 65536 ? atomic_load(&unseen_waits[ep]) : 0;
    while (n & ~OUT_OF_SIGHT && !atomic_compare_exchange_weak(&unseen_waits[ep], &n, (uint16_t)(n - 1)))
        ;
    return result;
}

#define TELL(op, a, b)                                                                                                 \
    do {                                                                                                               \
        struct thread *t = ops.sets && !bypass_hot() ? enter() : NULL;                                                 \
        if (t) {                                                                                                       \
            HOT(t, op, a, b, 0, 0, 0);                                                                                 \
            leave(t);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* A set gets a descriptor of ours. CATFLAP_UNSEEN, or 0. */
int epoll_set_mark(int ep)
{
    if ((unsigned)ep >= 65536)
        return 0;
    if (!epoll_set_is_marked(ep))
        atomic_fetch_or(&marked_sets[ep >> 6], 1ull << (ep & 63));
    ops.unseen = (uintptr_t)unseen_waits;
    return atomic_load(&unseen_waits[ep]) ? CATFLAP_UNSEEN : 0;
}

/* If this is a set, it will have connections that nobody else knows to be waited for. */
static void out_of_sight(int ep)
{
    if ((unsigned)ep < 65536 && !(atomic_load_explicit(&unseen_waits[ep], memory_order_relaxed) & OUT_OF_SIGHT))
        atomic_fetch_or(&unseen_waits[ep], OUT_OF_SIGHT);
}

void epoll_set_copied(int ep, int to)
{
    if (to < 0 || to == ep)
        return;
    young_all(SET_LEAVES, ep);
    if (likely(!epoll_set_is_marked(ep))) {
        out_of_sight(ep);
        out_of_sight(to);
    } else if ((unsigned)to < 65536) {
        atomic_fetch_or(&marked_sets[to >> 6], 1ull << (to & 63));
        TELL(set_copied, ep, to);
    }
}

void epoll_set_closed(int ep)
{
    if ((unsigned)ep < 65536 && unlikely(atomic_load_explicit(&unseen_waits[ep], memory_order_relaxed)))
        atomic_store(&unseen_waits[ep], 0);
    if (!epoll_set_is_marked(ep))
        return;
    atomic_fetch_and(&marked_sets[ep >> 6], ~(1ull << (ep & 63)));
    TELL(set_closed, ep, 0);
}

/* Only the kernel can tell who waits for a set as for a descriptor: connections in it go back there. */
static void nest(int ep)
{
    young_all(SET_LEAVES, ep);
    if (unlikely(epoll_set_is_marked(ep)))
        TELL(nested, ep, 0);
    else
        out_of_sight(ep);
}

static bool any_of_ours(const struct pollfd *fds, nfds_t n, struct stays *stays)
{
    struct rlimit limit;
    if (unmapped(fds) || (n > 1024 && (getrlimit(RLIMIT_NOFILE, &limit) != 0 || n > limit.rlim_cur)))
        return false; /* a count that no process can have is refused before anything is read */
    bool any = false;
    for (nfds_t i = 0; i < n; i++) {
        nest(fds[i].fd);
        stays_begin(stays, fds[i].fd);
        any |= lookup(fds[i].fd) != NULL;
    }
    return any && !bypass_hot();
}

/* Room for a copy of the set, the handles of its descriptors and the bell: the unused end of this thread's private stack. */
static struct pollfd *scratch(struct thread *t, nfds_t n, uint64_t **handles)
{
    if (n > 32768 || !(t->stack || map_stack(t)))
        return NULL;
    *handles = (uint64_t *)(t->stack + GUARD_SIZE);
    return (struct pollfd *)(*handles + n);
}

/* Show the host a poll set: `handles` tells it which entries have data that the kernel can't see. */
static int64_t ask(struct thread *t, struct pollfd *fds, nfds_t n, struct pollfd *copy, uint64_t *handles,
                   struct catflap_wait *wait)
{
    bool any = false;
    for (nfds_t i = 0; i < n; i++) {
        void *d = lookup(fds[i].fd);
        handles[i] = d ? (uint64_t)HOT(t, handle, d, 0, 0, 0, 0) : 0;
        any |= handles[i] != 0;
    }
    if (!any)
        return HOT(t, ready, -1, 0, 0, wait, 0);
    return HOT(t, ready_poll, fds, handles, copy, n, wait);
}

static int polled(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    struct thread *record = self ? self : thread_join();
    uint64_t *handles;
    struct pollfd *copy = scratch(record, n, &handles);
    if (!copy)
        return next.ppoll(fds, n, timeout, mask);
    WAIT(ask(t, fds, n, copy, handles, &wait), copy, n, timeout_of(timeout), mask, next.ppoll(fds, n, timeout, mask));
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    STAY(stays);
    if (!any_of_ours(fds, n, &stays))
        return next.poll(fds, n, timeout);
    return polled(fds, n, timeout < 0 ? NULL : &(struct timespec){timeout / 1000, timeout % 1000 * 1000000l}, NULL);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    STAY(stays);
    if (!any_of_ours(fds, n, &stays) || odd_time(timeout))
        return next.ppoll(fds, n, timeout, mask);
    return polled(fds, n, timeout, mask);
}

#define CHECKED(name, params, args, plain) ENTRY(int, name, params, return unlikely(room / sizeof *fds < n) ? next.name args : plain)
CHECKED(__poll_chk, (struct pollfd *fds, nfds_t n, int timeout, size_t room), (fds, n, timeout, room), poll(fds, n, timeout))
CHECKED(__ppoll_chk, (struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room),
        (fds, n, timeout, mask, room), ppoll(fds, n, timeout, mask))

/* The sets may be longer than FD_SETSIZE, since programs allocate their own, or shorter than `n` says, since programs pass
 * getdtablesize(): no further is read than to the highest number that has been ours. */
static bool any_in_sets(int n, const fd_set *r, const fd_set *w, const fd_set *e, struct stays *stays)
{
    const fd_set *sets[] = {r, w, e};
    int top = atomic_load_explicit(&descriptor_top, memory_order_relaxed), words = ((n < top ? n : top) + 63) / 64;
    bool any = false;
    for (int s = 0; s < 3; s++) {
        const unsigned long *bits = (const unsigned long *)sets[s];
        for (int i = 0; !unmapped(bits) && i < words; i++)
            for (unsigned long word = bits[i]; word; word &= word - 1) {
                stays_begin(stays, i * 64 + __builtin_ctzl(word));
                any |= lookup(i * 64 + __builtin_ctzl(word)) != NULL;
            }
    }
    return any && !bypass_hot();
}

enum { READ = POLLIN | POLLRDNORM | POLLHUP | POLLERR, WRITE = POLLOUT | POLLWRNORM | POLLERR, EXCEPT = POLLPRI };

static bool in_set(const fd_set *set, int fd) { return set && ((const unsigned long *)set)[fd / 64] >> (fd % 64) & 1; }

/* How far the kernel reads sets that long: to the end of the process's descriptor table (proc(5), FDSize). */
static int table_size(int n)
{
    char text[4096];
    if (n <= FD_SETSIZE)
        return n;
    int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? 0 : syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    text[got > 0 ? got : 0] = 0;
    const char *line = strstr(text, "FDSize:");
    int size = line ? atoi(line + 7) : FD_SETSIZE;
    return size < n ? size : n;
}

/* Whether the host has data of its own on a descriptor of the sets: only then are they made a poll set. */
static bool host_needed(int n, const fd_set *r, const fd_set *w, const fd_set *e)
{
    struct thread *t = enter();
    bool needed = false;
    int top = atomic_load_explicit(&descriptor_top, memory_order_relaxed);
    for (int fd = 0; fd < n && fd < top && !needed; fd++) {
        void *d = in_set(r, fd) || in_set(w, fd) || in_set(e, fd) ? lookup(fd) : NULL;
        needed = d && HOT(t, handle, d, 0, 0, 0, 0);
    }
    leave(t);
    return needed;
}

/* select as poll; -1 with EBADF for a closed number, as select has it. The sets are written only when something is found. */
static int select_by_poll(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask)
{
    struct pollfd fds[1024];
    nfds_t count = 0;
    n = table_size(n);
    for (int fd = 0; fd < n && count < 1024; fd++) {
        int events = (in_set(r, fd) ? POLLIN | POLLRDNORM : 0) | (in_set(w, fd) ? POLLOUT | POLLWRNORM : 0) |
                     (in_set(e, fd) ? POLLPRI : 0);
        if (events)
            fds[count++] = (struct pollfd){.fd = fd, .events = (short)events};
    }
    int found = ppoll(fds, count, timeout, mask), total = 0;
    if (found < 0)
        return found;
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].revents & POLLNVAL)
            return (int)result(-EBADF);
    fd_set *sets[] = {r, w, e};
    const int means[] = {READ, WRITE, EXCEPT}, asks[] = {POLLIN, POLLOUT, POLLPRI};
    for (int s = 0; s < 3; s++)
        for (nfds_t i = 0; sets[s] && i < count; i++) {
            unsigned long *word = &((unsigned long *)sets[s])[fds[i].fd / 64], bit = 1ul << (fds[i].fd % 64);
            if (fds[i].events & asks[s] && fds[i].revents & means[s])
                total++;
            else
                *word &= ~bit;
        }
    return total;
}

EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
    STAY(stays);
    if (!any_in_sets(n, r, w, e, &stays))
        return next.select(n, r, w, e, timeout);
    if (!host_needed(n, r, w, e))
        WAIT(HOT(t, ready, -1, 0, 0, &wait, 0), NULL, 0, FOREVER, NULL, next.select(n, r, w, e, timeout));
    if (!timeout)
        return select_by_poll(n, r, w, e, NULL, NULL);
    if (unmapped(timeout) || timeout->tv_sec < 0 || timeout->tv_usec < 0)
        return next.select(n, r, w, e, timeout);
    struct timespec left = {timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000};
    int64_t until = deadline_of(left.tv_sec * 1000000000ll + left.tv_nsec + 1);
    int found = select_by_poll(n, r, w, e, &left, NULL), error = errno;
    int64_t rest = until - deadline_of(1);
    timeout->tv_sec = rest > 0 ? rest / 1000000000 : 0; /* as Linux does */
    timeout->tv_usec = rest > 0 ? rest % 1000000000 / 1000 : 0;
    errno = error;
    return found;
}

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask)
{
    STAY(stays);
    if (!any_in_sets(n, r, w, e, &stays) || odd_time(timeout))
        return next.pselect(n, r, w, e, timeout, mask);
    if (!host_needed(n, r, w, e))
        WAIT(HOT(t, ready, -1, 0, 0, &wait, 0), NULL, 0, FOREVER, NULL, next.pselect(n, r, w, e, timeout, mask));
    return select_by_poll(n, r, w, e, timeout, mask);
}

EXPORT int epoll_ctl(int ep, int op, int fd, struct epoll_event *event)
{
    int r;
    if (unlikely(young(fd)) && young_member(ep, op, fd, event, &r))
        return r;
    if (likely(!(op == EPOLL_CTL_DEL ? lookup(fd) : ours(fd)))) {
        r = next.epoll_ctl(ep, op, fd, event);
        if (r == 0)
            nest(fd);
        return r;
    }
    int unseen = op == EPOLL_CTL_ADD ? epoll_set_mark(ep) : 0;
    if (!ops.sets || bypass_hot() || (op != EPOLL_CTL_DEL && unmapped(event)))
        return next.epoll_ctl(ep, op, fd, event);
    struct thread *t = enter();
    void *d = lookup(fd);
    int64_t done = d ? HOT(t, interest, d, ep, op | unseen, fd, op == EPOLL_CTL_DEL ? NULL : event) : CATFLAP_STALE;
    leave(t);
    return done == CATFLAP_STALE ? next.epoll_ctl(ep, op, fd, event) : (int)result(done);
}

/* The common way of the three epoll waits. */
#define EPOLL_WAIT(timeout_ns, mask, call)                                                                             \
    do {                                                                                                               \
        if (likely(unseen_begin(ep)))                                                                                  \
            return unseen_end(ep, call);                                                                               \
        if (bypass_hot() || unmapped(events) || n <= 0)                                                                \
            return call;                                                                                               \
        struct pollfd on[2] = {{.fd = ep, .events = POLLIN}};                                                          \
        WAIT(HOT(t, ready, ep, events, n, &wait, 0), on, 1, timeout_ns, mask, call);                                   \
    } while (0)

#define MS(timeout) (timeout < 0 ? FOREVER : timeout * 1000000ll)
ENTRY(int, epoll_wait, (int ep, struct epoll_event *events, int n, int timeout), EPOLL_WAIT(MS(timeout), NULL, next.epoll_wait(ep, events, n, timeout)))
ENTRY(int, epoll_pwait, (int ep, struct epoll_event *events, int n, int timeout, const sigset_t *mask), EPOLL_WAIT(MS(timeout), mask, next.epoll_pwait(ep, events, n, timeout, mask)))

EXPORT int epoll_pwait2(int ep, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *mask)
{
    if (unlikely(odd_time(timeout)))
        return next.epoll_pwait2(ep, events, n, timeout, mask);
    EPOLL_WAIT(timeout_of(timeout), mask, next.epoll_pwait2(ep, events, n, timeout, mask));
}
