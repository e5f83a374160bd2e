/* Connections of the stress test whose ends speak in turns: one thread, and forks in the middle of the stream. */
#ifndef STRESS_TURNS_H
#define STRESS_TURNS_H

#include "stress_drive.h"

enum { FORK_AND_LEAVE = 0, FORK_AND_WAIT = 1, FORK_AND_ALTERNATE = 2 };

struct turns {
    struct connection *c, *all;
    struct dice plan, dice; /* of both ends, and of this one */
    uint64_t bytes;         /* no more turns after so many, in both directions together */
    int how;                /* FORK_AND_... */
    int child;              /* 0: no fork yet, or the child itself */
    bool forked, is_child;
    int until;              /* FORK_AND_WAIT: the child's last turn */
    int from_other, to_other;
};

/* Wait until the lane's descriptor is ready, by any means. */
static void wait_turn(struct turns *t, struct lane *l)
{
    struct timeval tv = {0, 1000 * (long)sized(&t->dice, 1, 50)};
    bool endless = !one_in(&t->dice, 8);
    int timeout = endless ? -1 : (int)tv.tv_usec / 1000, r;
    l->row->call = "waiting for a turn";
    if (one_in(&t->dice, 3)) {
        struct pollfd p = {l->fd, l->inward ? POLLIN : POLLOUT, 0};
        r = poll(&p, 1, timeout);
    } else if (one_in(&t->dice, 2)) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(l->fd, &set);
        r = select(l->fd + 1, l->inward ? &set : NULL, l->inward ? NULL : &set, NULL, endless ? NULL : &tv);
    } else {
        struct epoll_event event = {.events = l->inward ? EPOLLIN : EPOLLOUT};
        if (one_in(&t->dice, 2))
            event.events |= EPOLLET;
        int ep = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
        MUST(epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &event));
        r = epoll_wait(ep, &event, 1, timeout);
        int error = errno;
        MUST(close(ep));
        errno = error;
    }
    if (r < 0)
        MUST(errno == EINTR ? 0 : -1);
    l->loud |= r > 0;
    if (r == 0 && endless)
        say("BROKEN: an endless wait for a turn has ended with nothing");
}

static void move_on(struct turns *t, struct lane *l)
{
    while (!l->done && (l->offset < l->stop || l->until_end))
        if (step(l) == 0 && l->mode != BLOCKING && !l->done)
            wait_turn(t, l);
}

/* In a child: its copies of the other connections would keep those alive. One of the two processes has to do this: else
 * a child at either end may wait for the end of a stream that the other one's child holds open. */
static void close_others(struct turns *t)
{
    for (int i = 0; i < stress_connections; i++) {
        struct connection *c = t->all + i;
        if (c == t->c || c->gone)
            continue;
        if (c->out.fd != c->fd)
            MUST(close(c->out.fd));
        MUST(close(c->fd));
    }
}

static void turn_fork(struct turns *t, int now)
{
    struct connection *c = t->c;
    int forth[2], back[2];
    t->how = (int)roll(&t->dice, 3);
    t->until = now + 1 + (int)roll(&t->dice, 20);
    MUST(pipe(forth));
    MUST(pipe(back));
    c->in.row->call = c->out.row->call = "fork";
    pthread_mutex_lock(&numbers_lock);
    int pid = (int)MUST(fork());
    pthread_mutex_unlock(&numbers_lock);
    t->forked = true;
    t->is_child = pid == 0;
    t->child = pid;
    t->dice.state += (uint64_t)t->is_child;
    t->from_other = t->is_child ? forth[0] : back[0];
    t->to_other = t->is_child ? back[1] : forth[1];
    MUST(close(t->is_child ? forth[1] : back[1]));
    MUST(close(t->is_child ? back[0] : forth[0]));
    if (t->is_child && c->role == 0)
        close_others(t);
    if (t->is_child || t->how != FORK_AND_LEAVE)
        c->in.row->pid = c->out.row->pid = getpid();
    if (!t->is_child && t->how == FORK_AND_LEAVE) {
        pthread_mutex_lock(&numbers_lock);
        MUST(close(c->fd));
        c->gone = true;
        pthread_mutex_unlock(&numbers_lock);
    }
}

static void child_gone(struct turns *t)
{
    int status = 0;
    while (waitpid(t->child, &status, 0) < 0)
        MUST(errno == EINTR ? 0 : -1);
    if (status) {
        break_off(&t->c->in, "the forked child ended with status %x", status);
        give_up();
    }
    t->child = 0;
}

/* Whether this process plays turn `now`; the other one does otherwise, and has done when this returns. */
static bool is_mine(struct turns *t, int now)
{
    char token;
    if (!t->forked || t->how == FORK_AND_LEAVE || (t->how == FORK_AND_WAIT && now >= t->until))
        return true;
    if (t->how == FORK_AND_WAIT)
        return t->is_child;
    if ((mixed((uint64_t)now / 2) & 1) == t->is_child)
        return true;
    t->c->in.row->call = "the other's turn";
    ssize_t r;
    while ((r = read(t->from_other, &token, 1)) < 0 && errno == EINTR)
        ;
    if (r != 1) {
        break_off(&t->c->in, "the other process of a fork is gone");
        give_up();
    }
    return false;
}

static void *turns_main(void *arg)
{
    struct turns *t = arg;
    struct connection *c = t->c;
    uint64_t moved = 0;
    bool abrupt = c->plan.ending != CLEAN, leaves = c->plan.ender == c->role;
    int last = c->plan.last_turn + (abrupt && !leaves ? 1000 : 0);
    c->in.row->thread = c->out.row->thread = (int)syscall(SYS_gettid);
    c->in.until_end = false;
    bool alive = true;
    for (int now = 0; alive && (stress_deadly || (now < last && moved < t->bytes)); now++) {
        uint64_t size = sized(&t->plan, 1, one_in(&t->plan, 4) ? BIGGEST / 16 : 4096);
        struct lane *l = (now & 1) == c->role ? &c->out : &c->in;
        moved += size;
        if (now == c->plan.fork_at && c->plan.forker == c->role) {
            turn_fork(t, now);
            if (!t->is_child && t->how == FORK_AND_LEAVE) {
                child_gone(t);
                return NULL;
            }
        }
        if (t->forked && t->how == FORK_AND_WAIT && t->is_child && now == t->until)
            _exit(0);
        l->total = l->stop = l->offset + size;
        if (is_mine(t, now)) {
            move_on(t, l);
            alive = !l->done;
            if (t->forked && t->how == FORK_AND_ALTERNATE)
                MUST(write(t->to_other, "", 1));
        } else {
            if (t->child && t->how == FORK_AND_WAIT)
                c->in.row->call = "the child's turn";
            l->offset = l->total;
        }
        if (t->child && t->how == FORK_AND_WAIT && now == t->until - 1)
            child_gone(t);
    }
    if (t->is_child && t->how != FORK_AND_LEAVE)
        _exit(0);
    if (t->child)
        child_gone(t);
    if (alive && !leaves) {
        c->in.total = c->in.offset;
        c->in.stop = ENDLESS;
        c->in.until_end = true;
        move_on(t, &c->in);
    }
    c->in.row->ended = c->out.row->ended = 1;
    part(c);
    if (t->is_child)
        _exit(0);
    return NULL;
}

#endif
