/* Sleeping on what the host can't hand to the kernel: its bells, together with kernel descriptors, from bare C.
 *
 * The gap between "nothing there" and the sleep is closed twice: the host has published that this thread sleeps before it
 * looked for the last time; and a handler that runs now leaves no time to sleep, in the very words that ppoll is given.
 *
 * No mask is changed on the way: whoever does, the kernel has look for signals of the whole process, and they would not reach
 * the thread that they were meant for, the main one, but this. */
#include "trap.h"


enum { NO_BELL = -1 };
static const struct timespec EVER = {1ll << 40, 0};

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
    fds[n] = (struct pollfd){.fd = t->bell > 0 ? t->bell_fd : -1, .events = POLLIN};
    struct sleep outer = sleep_begin(t, w->qtoken);
    t->left = w->timeout < 0 ? EVER : (struct timespec){w->timeout / 1000000000, w->timeout % 1000000000};
    atomic_signal_fence(memory_order_seq_cst);
    int r = -EINTR, type;
    if (t->caught == w->caught) {
        /* as libc's ppoll is cancelled, which would give the kernel a copy of the time */
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
        r = (int)next.syscall(SYS_ppoll, (long)fds, (long)(n + 1), (long)&t->left, (long)mask, 8, 0);
        pthread_setcanceltype(type, NULL);
        if (r < 0)
            r = -errno;
    }
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
