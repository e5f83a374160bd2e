/* House rules of living in a foreign process. Every file of the preload starts with this header.
 *
 * 1. A trap on a descriptor that isn't ours is one table look-up and a tail call. Nothing before the look-up.
 * 2. No stdio, malloc, locale, dlsym or libc lock on a trap's path: the program may be inside any of them.
 *    The compiler enforces it: the names are poisoned below.
 * 3. Nothing is written to the program's stdout or stderr; reasons go to the log, by raw system calls.
 * 4. Our own waits are the program's own kernel call made from bare C with no lock, GIL or Python frame below, so that
 *    signals, SA_RESTART, siglongjmp, cancellation, timeouts and closing races stay the kernel's own.
 * 5. What Python answers is a value (count or -errno); errno is set in one place, `result()`.
 * 6. Only initial-exec TLS; the host library gets pointers.
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "abi.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
/* A trap that is one walk. */
#define ENTRY(result, name, params, walk) EXPORT result name params { walk; }
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* --- the next definitions (next.c) --- */
struct next_table {
#define TRAP(result, name, params, args, fd) result(*name) params;
#include "traps.def"
#undef TRAP
};
extern struct next_table next;

/* --- descriptor numbers (descriptors.c) --- */
#define PAGE_BITS 10
#define PAGE_COUNT (1u << 16)
typedef _Atomic(uintptr_t) entry_t;
extern _Atomic(entry_t *) descriptor_pages[PAGE_COUNT];

/* The entry of a number. Lock-free, two loads. */
static inline uintptr_t entry(int fd)
{
    unsigned page = (unsigned)fd >> PAGE_BITS;
    if (unlikely(page >= PAGE_COUNT))
        return 0;
    entry_t *entries = atomic_load_explicit(&descriptor_pages[page], memory_order_acquire);
    if (!entries)
        return 0;
    return atomic_load_explicit(&entries[(unsigned)fd & ((1u << PAGE_BITS) - 1)], memory_order_acquire);
}

/* The description a number stands for, or NULL when it is the kernel's. */
static inline void *lookup(int fd)
{
    uintptr_t e = entry(fd);
    return e & 1 ? NULL : (void *)e;
}

/* --- sockets that are only counted (young.c) --- */
enum { YOUNG = 3, STAYS = 8 };
struct stay { int fd; uint64_t birth; };
struct stays { unsigned n; struct stay at[STAYS]; };
extern bool young_ever;
extern unsigned long young_worth;
void young_start(unsigned long worth);
bool young_begin(int fd, bool accepted);
uint64_t young_enter(int fd);
void young_leave(int fd, uint64_t birth);
void *young_grow(int fd);
void young_ends(int fd, int reason);
bool young_member(int ep, int op, int fd, struct epoll_event *event, int *answer);
enum young_moment { BEFORE_FORK, FORKING, FORKED, SET_LEAVES, ENDING };
void young_all(enum young_moment moment, int set);
void stays_begin(struct stays *s, int fd);
void stays_end(struct stays *s);
/* The calling thread's stay with several descriptors, over at the end of the function. */
#define STAY(name) __attribute__((cleanup(stays_end))) struct stays name = {0}

static inline bool young(int fd)
{
    return (entry(fd) & 3) == YOUNG;
}

/* Whether a number is more to us than any other descriptor. */
static inline bool known(int fd)
{
    uintptr_t e = entry(fd);
    return e && ((e & 3) != 1 || e >> 2 == CATFLAP_LISTENING || e >> 2 == CATFLAP_FILE);
}

/* The description of a number, made now for a young socket: what follows is more than the kernel can be left alone with. */
static inline void *ours(int fd)
{
    uintptr_t e = entry(fd);
    return likely((e & 3) != YOUNG) ? e & 1 ? NULL : (void *)e : young_grow(fd);
}

extern _Atomic int descriptor_top;
int descriptor_bind(int fd, void *description, int reason);
entry_t *descriptor_entry(int fd, bool make); /* NULL when there is none */
int descriptor_reason(int fd); /* of the kernel's: why, or what it is to us all the same */
void *descriptor_forget(int fd);          /* the description the number stood for, or NULL */
bool descriptor_next(unsigned *fd, unsigned last, bool own); /* the next of our numbers, or the host's own, in [*fd, last] */

/* --- files under the mount prefix (trap_file.c) --- */
extern bool mounted; /* there is one */
void mount_begin(const char *path);
int64_t file_told(int fd, int what, int64_t value);
static inline bool file_marked(int fd) { return entry(fd) == ((uintptr_t)CATFLAP_FILE << 2 | 1); }

/* --- threads (thread.c) --- */
struct thread {
    _Atomic uint64_t sequence; /* odd while inside */
    _Atomic uint64_t seen;     /* sequence at the start of the grace period */
    int depth;                 /* traps of ours on this thread's stack, nested by signal handlers */
    int guard;                 /* our own Python is running on this thread: its libc calls are the kernel's */
    int outsider;              /* the record of many threads: never inside */
    _Atomic int used;
    uintptr_t frame;           /* stack address of the outermost trap */
    uint64_t qtoken;           /* what this thread sleeps on */
    uintptr_t sleep_frame;
    char *stack;               /* private stack for interpreted paths, mapped at first use */
    int has_state;             /* 1: has a Python thread state; 2: one that we made and end */
    int forking;
    int bell;                  /* what wakes this thread out of a wait on the host; 0: none yet */
    int bell_fd;
    uint32_t caught, hard;     /* signals caught, and those of them without SA_RESTART */
    struct timespec left;      /* how long a wait on the host may last; a signal caught before it ends it */
    int deferred;              /* a signal put off until this thread is outside */
    siginfo_t deferred_info;
    uint64_t deferred_mask;
    uint64_t fork_mask;
} __attribute__((aligned(64))); /* 256 bytes: there are many of them */
extern __thread struct thread *self;
struct thread *thread_join(void);
void thread_repair(struct thread *t, uintptr_t frame);
void thread_forked(void);
enum { STACK_SIZE = 1 << 20, GUARD_SIZE = 1 << 14 };
bool map_stack(struct thread *t);
void grace_begin(void);
int grace_passed(void);
void grace_wait(void);

void signal_deliver(struct thread *t);

/* Sleep on `fds` (with room for one more) and this thread's bell, as `w` says. 0: ask the host again; or -EINTR. */
int64_t wait_sleep(struct thread *t, struct catflap_wait *w, struct pollfd *fds, nfds_t n, const sigset_t *mask, bool restart);

/* A call into the host that may run Python: private stack, handlers put off, no cancellation, errno kept. */
int64_t slow_call(struct thread *t, void *function, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e);

/* --- the host (boot.c) --- */
enum state { STATE_OFF, STATE_COLD, STATE_BOOTING, STATE_UP, STATE_DEAD };
extern _Atomic int host_state;
extern struct catflap_ops ops;
extern bool streams_only, networked;
extern int boot_pid;              /* of this process; its child of vfork is another */
extern _Atomic int kernel_reason; /* why sockets are the kernel's when no host is asked */
bool host_ready(void);            /* boots at the first call; false: stay on the kernel */
void log_line(const char *what, int a, int b);
void log_text(const char *line);
char *number(char *p, unsigned v); /* writes it; the end */

static inline struct thread *enter(void)
{
    struct thread *t = self;
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    if (unlikely(!t))
        t = thread_join();
    if (unlikely(t->depth || t->qtoken))
        thread_repair(t, frame);
    if (t->depth++ == 0) {
        t->frame = frame;
        atomic_store_explicit(&t->sequence, atomic_load_explicit(&t->sequence, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    }
    atomic_signal_fence(memory_order_seq_cst); /* the other half is the membarrier of grace_begin */
    return t;
}

static inline void leave(struct thread *t)
{
    atomic_signal_fence(memory_order_seq_cst);
    if (--t->depth == 0) {
        atomic_store_explicit(&t->sequence, atomic_load_explicit(&t->sequence, memory_order_relaxed) + 1,
                              memory_order_release);
        atomic_signal_fence(memory_order_seq_cst);
        if (unlikely(t->deferred))
            signal_deliver(t);
    }
}

static inline struct catflap_wait wait_begin(struct thread *t)
{
    return (struct catflap_wait){.pending = (uintptr_t)&t->deferred, .bell = (uint64_t)t->bell, .caught = t->caught, .hard = t->hard};
}

/* True when a trap must leave this call to the kernel although the descriptor is ours. */
static inline bool bypass(void)
{
    struct thread *t = self;
    if (unlikely(atomic_load_explicit(&host_state, memory_order_relaxed) != STATE_UP))
        return true;
    if (unlikely(!t))
        t = thread_join();
    return unlikely(t->guard | t->outsider);
}

/* The same of calls that compiled code serves without the interpreter: rings go on working until the very end. */
static inline bool bypass_hot(void)
{
    struct thread *t = self;
    int state = atomic_load_explicit(&host_state, memory_order_relaxed);
    return unlikely(state != STATE_UP && (state != STATE_DEAD || !ops.sets || ops.guarded)) || unlikely(t && t->guard);
}

/* Before a call that we don't serve: this descriptor's connection goes back to the kernel for good; so do those in a
 * message. True of datagrams that can't. */
bool go_plain(int fd);
void passed_go_plain(const struct msghdr *msg);

void forget(int fd);
int64_t beyond(unsigned long request, void *at, int room);
bool epoll_set_is_marked(int ep);
int epoll_set_mark(int ep);
bool in_vfork_child(void);
void before_fork_trap(void);
void after_fork_trap(bool child);
void tell_peers(void);

/* Addresses that no mapping can have: the kernel says EFAULT where we would fault. */
#define unmapped(address) unlikely((uintptr_t)(address) < 65536)

/* -errno -> errno, in one function. */
static inline int64_t result(int64_t r)
{
    if (unlikely(r < 0)) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

/* A hot operation: straight into compiled code, or through the slow door when it is interpreted. Either way its arguments go
 * as five words, of which it reads what it has parameters for. */
typedef int64_t (*hot_t)(int64_t, int64_t, int64_t, int64_t, int64_t);
#define HOT(t, op, a, b, c, d, e)                                                                                      \
    (likely(!ops.guarded) ? ((hot_t)(void *)ops.op)((int64_t)(a), (int64_t)(b), (int64_t)(c), (int64_t)(d), (int64_t)(e)) \
                          : SLOW(t, op, a, b, c, d, e))
#define SLOW(t, op, a, b, c, d, e)                                                                                     \
    slow_call(t, (void *)ops.op, (int64_t)(a), (int64_t)(b), (int64_t)(c), (int64_t)(d), (int64_t)(e))

/* Around the program's own kernel call: the thread sleeps on a qtoken and is outside meanwhile. A signal handler may
 * sleep on another one above it, so the outer one is kept and put back. */
struct sleep { uint64_t outer_qtoken; uintptr_t outer_frame; };

static inline struct sleep sleep_begin(struct thread *t, uint64_t qtoken)
{
    struct sleep outer = {t->qtoken, t->sleep_frame};
    t->sleep_frame = (uintptr_t)__builtin_frame_address(0);
    t->qtoken = qtoken;
    leave(t);
    return outer;
}

static inline int64_t sleep_end(struct thread *t, struct sleep outer, uint64_t qtoken, int op, const void *data, int64_t r)
{
    int error = errno;
    if (r < 0)
        r = -error;
    t->qtoken = outer.outer_qtoken;
    t->sleep_frame = outer.outer_frame;
    t = enter();
    if (likely(atomic_load_explicit(&host_state, memory_order_relaxed) == STATE_UP))
        r = HOT(t, woke, qtoken, op, data, r, 0);
    leave(t);
    errno = error;
    return r;
}

/* The whole walk of an operation on a descriptor of ours. `call` is the same call on the kernel: made when the operation
 * sleeps, and instead of it when the number turns out not to be ours any more. */
#define WALK(type, number, data, kind, op_call, call)                                                                      \
    do {                                                                                                               \
        uintptr_t value = entry(number);                                                                               \
        if (likely(!value || (value & 3) == 1))                                                                        \
            return call;                                                                                               \
        uint64_t birth = unlikely(value & 1) ? young_enter(number) : 0;                                                \
        if (birth) {                                                                                                   \
            type as_kernel = call;                                                                                     \
            young_leave(number, birth);                                                                                \
            return as_kernel;                                                                                          \
        }                                                                                                              \
        if (!lookup(number) || bypass_hot())                                                                           \
            return call;                                                                                               \
        pthread_testcancel();                                                                                          \
        struct thread *t = enter();                                                                                    \
        struct catflap_wait wait = wait_begin(t);                                                                      \
        void *d = NULL;                                                                                                \
        int64_t r;                                                                                                     \
        for (;;) {                                                                                                     \
            if (!wait.qtoken) /* only what is looked up inside can't be retired under us; nor what we sleep on */      \
                d = lookup(number);                                                                                    \
            r = d ? op_call : CATFLAP_STALE;                                                                           \
            if (likely(r >= -4095 || (r != CATFLAP_WAIT && r != CATFLAP_ATTEND)))                                      \
                break;                                                                                                 \
            if (r == CATFLAP_ATTEND && atomic_load(&host_state) == STATE_UP) {                                         \
                SLOW(t, attend, d, 0, 0, 0, 0);                                                                        \
                continue;                                                                                              \
            }                                                                                                          \
            if (r == CATFLAP_ATTEND) {                                                                                 \
                leave(t);                                                                                              \
                return call;                                                                                           \
            }                                                                                                          \
            struct pollfd on[2] = {{.fd = (int)wait.fd, .events = (short)wait.events}};                                \
            r = wait_sleep(t, &wait, on, 1, NULL, wait.deadline == 0 || wait.deadline == INT64_MAX);                                                 \
            if (r) {                                                                                                   \
                r = wait.done ? wait.done : r;                                                                         \
                break;                                                                                                 \
            }                                                                                                          \
        }                                                                                                              \
        if (unlikely(wait.qtoken)) {                                                                                   \
            if (r != CATFLAP_SLEEP)                                                                                    \
                HOT(t, woke, wait.qtoken, 0, 0, 0, 0);                                                                 \
            if (lookup(number) != d && atomic_load(&host_state) == STATE_UP)                                           \
                SLOW(t, slept, d, 0, 0, 0, 0);                                                                         \
        }                                                                                                              \
        if (likely(r >= -4095)) {                                                                                      \
            leave(t);                                                                                                  \
            return (type)result(r);                                                                                    \
        }                                                                                                              \
        if (r == CATFLAP_SLEEP) {                                                                                      \
            struct sleep outer = sleep_begin(t, wait.qtoken);                                                          \
            int64_t s = call;                                                                                          \
            return (type)result(sleep_end(t, outer, wait.qtoken, kind, data, s));                                      \
        }                                                                                                              \
        leave(t);                                                                                                      \
        if (d && lookup(number) == d)                                                                                  \
            forget(number), descriptor_bind(number, NULL, CATFLAP_KERNEL_STALE);                                       \
        return call;                                                                                                   \
    } while (0)

/* What the host is told of a descriptor of ours beside the program's call, which it changes nothing of. */
#define TELL_OF(fd, told)                                                                                              \
    do {                                                                                                               \
        int error = errno;                                                                                             \
        struct thread *t = enter();                                                                                    \
        void *d = lookup(fd);                                                                                          \
        if (d)                                                                                                         \
            told;                                                                                                      \
        leave(t);                                                                                                      \
        errno = error;                                                                                                 \
    } while (0)

/* An operation that never sleeps and takes the GIL. */
#define SIMPLE(fd, op_call, call)                                                                                      \
    do {                                                                                                               \
        if (likely(!lookup(fd)) || bypass())                                                                           \
            return call;                                                                                               \
        struct thread *t = enter();                                                                                    \
        void *d = lookup(fd);                                                                                          \
        int64_t r = d ? op_call : CATFLAP_STALE;                                                                       \
        leave(t);                                                                                                      \
        if (likely(r >= -4095))                                                                                        \
            return (int)result(r);                                                                                     \
        return call;                                                                                                   \
    } while (0)

#pragma GCC poison malloc calloc realloc free printf fprintf sprintf snprintf puts setlocale perror
