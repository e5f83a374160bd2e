/* Processes. fork takes the GIL before the real call; daemon() and others that fork inside libc come through the
 * pthread_atfork handlers of boot.c, which do the same one step later. */
#include "trap.h"

void before_fork_trap(void);
void after_fork_trap(bool child);

EXPORT pid_t fork(void)
{
    if (atomic_load(&host_state) != STATE_UP)
        return next.fork();
    before_fork_trap();
    pid_t pid = next.fork();
    after_fork_trap(pid == 0);
    return pid;
}
