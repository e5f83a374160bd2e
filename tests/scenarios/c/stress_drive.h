/* Ways to drive connections of the stress test: threads that sleep in the call, loops over readiness, turns. */
#ifndef STRESS_DRIVE_H
#define STRESS_DRIVE_H

#include "stress_calls.h"

enum mechanism { POLL, SELECT, EPOLL, EPOLL_EDGE, EPOLL_ONESHOT, MECHANISMS };
enum ending { CLEAN, RESET, UNREAD };

/* What both ends know of a connection before its first byte. */
struct plan {
    int family;
    bool turns;
    uint64_t total[2]; /* by direction: 0 from the dialling end, 1 to it */
    bool half[2];      /* this direction ends with a shutdown of its own */
    int ender;         /* the role that closes first */
    enum ending ending;
    uint64_t stop;       /* an abrupt ender reads no further */
    int last_turn;       /* turns: when the ender leaves */
    int forker, fork_at; /* turns: which role forks, and when */
};

struct connection {
    int number, fd, role;
    struct plan plan;
    struct lane in, out;
    pthread_mutex_t lock;
    uint32_t interest; /* in the epoll set `ep`, once added */
    bool added, gone;
    int ep;
};

static bool stress_deadly; /* one of the two processes will die */

static pthread_mutex_t numbers_lock = PTHREAD_MUTEX_INITIALIZER; /* no fork while a connection's numbers are closed */

/* The process leaves the connection as the plan says. */
static void part(struct connection *c)
{
    uint64_t info[32] = {0}; /* the kernel's struct tcp_info is longer than glibc's */
    socklen_t length = sizeof info;
    enum { BYTES_RECEIVED = 16 };
    syscall(SYS_getsockopt, c->fd, IPPROTO_TCP, TCP_INFO, info, &length);
    int64_t beside = (int64_t)(c->in.offset - info[BYTES_RECEIVED]);
    if (c->plan.ending == RESET && c->plan.ender == c->role && !stress_deadly)
        MUST(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
    pthread_mutex_lock(&numbers_lock);
    if (c->out.fd != c->fd)
        MUST(close(c->out.fd));
    if (c->added) /* a forked child may still hold a copy that keeps it in the set */
        MUST(epoll_ctl(c->ep, EPOLL_CTL_DEL, c->fd, NULL));
    MUST(close(c->fd));
    c->gone = true;
    pthread_mutex_unlock(&numbers_lock);
    say("done connection %d in %llu out %llu beside %lld", c->number, (unsigned long long)c->in.offset,
        (unsigned long long)c->out.offset, (long long)(beside > 0 ? beside : 0));
}

/* After a step of the lane that sends: its end may be told at once. */
static void after_out(struct connection *c)
{
    if (c->out.done && c->out.end_error == 0 && c->plan.half[c->out.direction] && c->out.offset == c->out.total)
        if (shutdown(c->out.fd, SHUT_WR) != 0 && !(c->out.short_ends && errno == ENOTCONN)) {
            break_off(&c->out, "shutdown: %s", name_of(errno));
            give_up();
        }
}

/* --- threads that sleep in the call; any number of them for one direction, one at a time --- */
struct sleeper {
    struct connection *connection;
    bool inward;
};

static void *sleeper_main(void *arg)
{
    struct sleeper *s = arg;
    struct connection *c = s->connection;
    struct lane *l = s->inward ? &c->in : &c->out;
    for (;;) {
        if (!s->inward)
            pthread_mutex_lock(&c->lock);
        l->row->thread = (int)syscall(SYS_gettid);
        bool was = l->done;
        step(l);
        bool now = l->done;
        if (!s->inward && !was && now)
            after_out(c);
        if (!s->inward)
            pthread_mutex_unlock(&c->lock);
        if (now)
            return NULL;
    }
}

/* `writers`: how many threads send records of it in turns. */
static void drive_by_threads(struct connection *c, int writers)
{
    pthread_t threads[4];
    struct sleeper in = {c, true}, out = {c, false};
    for (int i = 0; i < writers; i++)
        MUST(-pthread_create(&threads[i], NULL, sleeper_main, &out));
    sleeper_main(&in);
    for (int i = 0; i < writers; i++)
        MUST(-pthread_join(threads[i], NULL));
    part(c);
}

/* --- a loop over readiness --- */
struct loop {
    enum mechanism mechanism;
    int ep, count;
    struct connection *connections[16];
    bool readable[16], writable[16]; /* what an edge has said and no EAGAIN taken back */
    struct dice dice;
    int thread;
};

static uint32_t wanted(const struct connection *c)
{
    return (c->in.done ? 0 : EPOLLIN) | (c->out.done ? 0 : EPOLLOUT);
}

static void watch(struct loop *l, int i, bool again)
{
    struct connection *c = l->connections[i];
    uint32_t events = wanted(c);
    if (l->mechanism == EPOLL_EDGE) {
        if (c->added)
            return;
        events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP;
    } else if (c->added && events == c->interest && !again)
        return;
    struct epoll_event event = {.events = events | (l->mechanism == EPOLL_ONESHOT ? EPOLLONESHOT : 0), .data.u32 = (uint32_t)i};
    MUST(epoll_ctl(l->ep, c->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &event));
    c->added = true;
    c->ep = l->ep;
    c->interest = events;
}

/* Some steps of one direction. `announced`: readiness has just been reported. False once it would have to wait. */
static bool go_on(struct loop *l, struct connection *c, struct lane *lane, bool announced)
{
    lane->row->thread = l->thread;
    int steps = l->mechanism == EPOLL_EDGE ? 1 << 20 : 1 + (int)roll(&l->dice, 3);
    lane->loud |= announced && l->mechanism != EPOLL_EDGE;
    bool more = true, was = lane->done;
    while (more && steps-- > 0 && !lane->done && !(l->mechanism == EPOLL_EDGE && one_in(&l->dice, 64)))
        more = step(lane) > 0;
    if (settled(lane) && !was && !lane->inward)
        after_out(c);
    return more;
}

static int wait_ready(struct loop *l, int timeout, uint32_t *have)
{
    struct pollfd fds[16];
    fd_set readable, writable;
    struct epoll_event events[16];
    struct timeval tv = {timeout / 1000, timeout % 1000 * 1000};
    int top = 0, r = 0;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    for (int i = 0; i < l->count; i++) {
        struct connection *c = l->connections[i];
        uint32_t want = c ? wanted(c) : 0;
        have[i] = 0;
        fds[i] = (struct pollfd){c ? c->fd : -1, (short)want, 0};
        if (!c)
            continue;
        if (want & EPOLLIN)
            FD_SET(c->fd, &readable);
        if (want & EPOLLOUT)
            FD_SET(c->fd, &writable);
        top = c->fd >= top ? c->fd + 1 : top;
        if (l->mechanism >= EPOLL)
            watch(l, i, false);
    }
    for (int i = 0; i < l->count; i++)
        if (l->connections[i])
            l->connections[i]->in.row->call = l->connections[i]->out.row->call = "waiting";
    if (l->mechanism == POLL) {
        r = poll(fds, (nfds_t)l->count, timeout);
        for (int i = 0; i < l->count && r > 0; i++)
            have[i] = (uint32_t)fds[i].revents & 0xffff;
    } else if (l->mechanism == SELECT) {
        r = select(top, &readable, &writable, NULL, timeout < 0 ? NULL : &tv);
        for (int i = 0; i < l->count && r > 0; i++)
            if (l->connections[i])
                have[i] = (FD_ISSET(l->connections[i]->fd, &readable) ? EPOLLIN : 0) |
                          (FD_ISSET(l->connections[i]->fd, &writable) ? EPOLLOUT : 0);
    } else {
        r = epoll_wait(l->ep, events, 1 + (int)roll(&l->dice, 16), timeout);
        for (int i = 0; i < r; i++)
            have[events[i].data.u32] = events[i].events;
    }
    if (r < 0)
        MUST(errno == EINTR ? 0 : -1);
    if (r == 0 && timeout < 0)
        say("BROKEN: an endless wait has ended with nothing");
    return r;
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    l->thread = (int)syscall(SYS_gettid);
    l->ep = l->mechanism >= EPOLL ? (int)MUST(epoll_create1(0)) : -1;
    for (int i = 0; i < l->count; i++)
        settled(&l->connections[i]->in);
    for (int left = l->count; left;) {
        uint32_t have[16];
        bool pending = false;
        for (int i = 0; i < l->count; i++)
            pending |= l->readable[i] || l->writable[i];
        wait_ready(l, pending ? 0 : one_in(&l->dice, 8) ? (int)sized(&l->dice, 1, 50) : -1, have);
        for (int i = 0; i < l->count; i++) {
            struct connection *c = l->connections[i];
            bool ends = have[i] & (EPOLLHUP | EPOLLERR);
            if (!c)
                continue;
            if (l->mechanism == EPOLL_EDGE) {
                l->readable[i] |= ends || have[i] & (EPOLLIN | EPOLLRDHUP);
                l->writable[i] |= ends || have[i] & EPOLLOUT;
                if (l->readable[i])
                    l->readable[i] = go_on(l, c, &c->in, false) && !c->in.done;
                if (l->writable[i])
                    l->writable[i] = go_on(l, c, &c->out, false) && !c->out.done;
            } else {
                if (ends || have[i] & EPOLLIN)
                    go_on(l, c, &c->in, have[i] & EPOLLIN);
                if (ends || have[i] & EPOLLOUT)
                    go_on(l, c, &c->out, have[i] & EPOLLOUT && !ends);
                if (l->mechanism == EPOLL_ONESHOT && have[i])
                    watch(l, i, true);
            }
            if (c->in.done && c->out.done) {
                part(c);
                l->connections[i] = NULL;
                l->readable[i] = l->writable[i] = false;
                left--;
            }
        }
    }
    if (l->ep >= 0)
        MUST(close(l->ep));
    return NULL;
}

#endif
