/* Signals. A handler must not run while this thread is inside our Python: jumping out of it would leave the GIL held for
 * ever. Blocking signals around every slow call costs two system calls, so handlers get a trampoline instead: it runs
 * them at once, or, inside, puts the signal off until the slow call ends.
 *
 * Some facts: a one-argument handler may be called with three. Faults are never put off. SA_RESETHAND handlers are left
 * alone (the kernel would have reset them before we could put them off). Only real handlers are ever written to the
 * table, so a vfork child that resets its signals can't change its parent's. */
#include "trap.h"

#include <ucontext.h>

typedef void (*handler_t)(int, siginfo_t *, void *);
static _Atomic(handler_t) handlers[NSIG];
static _Atomic int handler_flags[NSIG];

static const uint64_t FAULTS = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGFPE - 1) | 1ull << (SIGILL - 1) |
                               1ull << (SIGTRAP - 1) | 1ull << (SIGABRT - 1) | 1ull << (SIGSYS - 1);

static void trampoline(int sig, siginfo_t *info, void *context)
{
    struct thread *t = self;
    if (unlikely(t && (t->depth || t->guard))) {
        uint64_t *mask = (uint64_t *)&((ucontext_t *)context)->uc_sigmask;
        t->deferred = sig;
        t->deferred_info = *info;
        t->deferred_mask = *mask;
        *mask = ~FAULTS; /* in force when this returns: nothing else arrives before the slow call ends */
        return;
    }
    if (t) { /* a wait on the host has to end as the kernel's would */
        t->caught++;
        if (!(atomic_load_explicit(&handler_flags[sig], memory_order_relaxed) & SA_RESTART))
            t->hard++;
    }
    handler_t handler = atomic_load_explicit(&handlers[sig], memory_order_acquire);
    if (handler)
        handler(sig, info, context);
    if (t) /* behind the handler, which may have waited itself */
        t->left = (struct timespec){0, 0};
}

/* This thread is outside: send the signal again, as it came, and let it in. */
void signal_deliver(struct thread *t)
{
    int sig = t->deferred;
    t->deferred = 0;
    syscall(SYS_rt_tgsigqueueinfo, syscall(SYS_getpid), syscall(SYS_gettid), sig, &t->deferred_info);
    uint64_t mask = t->deferred_mask;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
}

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    struct sigaction ours, before;
    if (sig < 1 || sig >= NSIG)
        return next.sigaction(sig, act, old);
    handler_t previous = atomic_load(&handlers[sig]);
    int previous_flags = atomic_load(&handler_flags[sig]);
    if (act && act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN && !(act->sa_flags & (int)SA_RESETHAND) &&
        !(FAULTS >> (sig - 1) & 1)) {
        ours = *act;
        atomic_store(&handlers[sig], (handler_t)act->sa_sigaction);
        atomic_store(&handler_flags[sig], act->sa_flags);
        ours.sa_sigaction = trampoline;
        ours.sa_flags |= SA_SIGINFO;
        act = &ours;
    }
    int r = next.sigaction(sig, act, old ? &before : NULL);
    if (r == 0 && old) {
        *old = before;
        if (before.sa_sigaction == trampoline) {
            old->sa_sigaction = previous;
            old->sa_flags = (before.sa_flags & ~SA_SIGINFO) | (previous_flags & SA_SIGINFO);
        }
    }
    return r;
}

/* BSD semantics, as glibc's signal(2). */
EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
    if (handler == SIG_ERR) {
        errno = EINVAL;
        return SIG_ERR;
    }
    sigemptyset(&act.sa_mask);
    sigaddset(&act.sa_mask, sig);
    return sigaction(sig, &act, &old) < 0 ? SIG_ERR : old.sa_handler;
}
