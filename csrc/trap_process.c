/* Processes. fork takes the GIL before the real call; forkpty() and others that fork inside libc come through the
 * pthread_atfork handlers of boot.c, which do the same one step later. */
#include "trap.h"

EXPORT pid_t fork(void)
{
    young_all(BEFORE_FORK, 0);
    if (atomic_load(&host_state) != STATE_UP)
        return next.fork();
    before_fork_trap();
    pid_t pid = next.fork();
    after_fork_trap(pid == 0);
    return pid;
}

enum { PATIENCE = 100 }; /* milliseconds */

/* The process ends, and the kernel closes what it has: peers that look at a ring alone are told before. Not from a handler of
 * a fault in our own code, whose thread may hold the locks that this takes. */
void tell_peers(void)
{
    young_all(ENDING, 0);
    if (likely(!ops.sets) || bypass_hot() || in_vfork_child() || (ops.guarded && bypass()) || (self && self->depth))
        return;
    struct thread *t = enter();
    for (unsigned fd = 0; descriptor_next(&fd, ~0u, false); fd++) {
        void *d = lookup((int)fd);
        for (int turns = 0; d && HOT(t, ended, d, 0, 0, 0, 0) == 1 && turns < PATIENCE; turns++)
            syscall(SYS_nanosleep, &(struct timespec){0, 1000000}, NULL);
    }
    leave(t);
}

EXPORT void _exit(int status)
{
    tell_peers();
    next._exit(status);
    __builtin_unreachable();
}

/* As libc's own, whose parent ends by a call that nobody can see. */
EXPORT int daemon(int stays, int keeps)
{
    pid_t pid = fork();
    if (pid > 0)
        _exit(0);
    if (pid < 0 || setsid() < 0 || (!stays && chdir("/") < 0))
        return -1;
    int null = keeps ? 0 : next.open("/dev/null", O_RDWR, 0);
    for (int fd = 0; !keeps && null >= 0 && fd <= 2; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    return null < 0 ? -1 : 0;
}
