/* Sleeping on what the host can't hand to the kernel: its bells, together with kernel descriptors, from bare C.
 *
 * The gap between "nothing there" and the sleep is closed twice: the host has published that this thread sleeps before it
 * looked for the last time, and signals are let in by ppoll itself, so that one that comes now still ends the sleep. */
#include "trap.h"

#include <sys/syscall.h>
#include <time.h>

enum { NO_BELL = -1 };
static const uint64_t ALL = ~(3ull << 31); /* but glibc's own two */

static void make_bell(struct thread *t)
{
    int64_t fd = -1, bell = 0;
    if (atomic_load(&host_state) == STATE_UP)
        bell = SLOW(t, new_bell, &fd, 0, 0, 0, 0);
    t->bell = bell > 0 ? (int)bell : NO_BELL;
    t->bell_fd = (int)fd;
}

static void drain(struct thread *t, short revents)
{
    char hint[8];
    if (revents & POLLNVAL) /* closed by a sweep over all numbers */
        t->bell = 0;
    else if (revents & POLLIN)
        for (int i = 0; i < 16 && syscall(SYS_recvfrom, t->bell_fd, hint, sizeof hint, MSG_DONTWAIT, NULL, NULL) >= 0; i++)
            ;
}

int64_t wait_sleep(struct thread *t, struct catflap_wait *w, struct pollfd *fds, nfds_t n, const sigset_t *mask, bool restart)
{
    if (t->bell == 0) {
        make_bell(t);
        w->bell = (uint64_t)t->bell;
        return 0;
    }
    struct timespec timeout = {w->timeout / 1000000000, w->timeout % 1000000000};
    fds[n] = (struct pollfd){.fd = t->bell > 0 ? t->bell_fd : -1, .events = POLLIN};
    struct sleep outer = sleep_begin(t, w->qtoken);
    uint64_t before;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &ALL, &before, 8);
    int r = -EINTR;
    if (t->caught == w->caught) {
        sigset_t as_before;
        memset(&as_before, 0, sizeof as_before);
        memcpy(&as_before, &before, 8);
        r = next.ppoll(fds, n + 1, w->timeout < 0 ? NULL : &timeout, mask ? mask : &as_before);
        if (r < 0)
            r = -errno;
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
    drain(t, r > 0 ? fds[n].revents : 0);
    t->qtoken = outer.outer_qtoken;
    t->sleep_frame = outer.outer_frame;
    enter();
    w->bell = (uint64_t)t->bell;
    bool caught = t->caught != w->caught;
    if (t->hard != w->hard || (caught && !restart) || (!caught && r == -EINTR))
        return -EINTR;
    w->caught = t->caught;
    return 0;
}
