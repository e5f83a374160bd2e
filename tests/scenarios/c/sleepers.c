/* Threads asleep in a call, and what wakes them: shutdown under poll and send, sets of sets, exclusive members, a set for each
 * thread, signals of descriptors, cancellation of the calls that cancel.c leaves out. */
#include "scenario.h"
#include "sets.h"

/* --- somebody does something to a sleeper --- */
enum { SHUT_READ, SHUT_WRITE, SHUT_BOTH, SEND };
struct push {
    int fd, what, sleeper;
};

static void push(void *arg)
{
    struct push *p = arg;
    await_sleep(p->sleeper);
    if (p->what == SEND)
        MUST(send(p->fd, "x", 1, 0));
    else
        MUST(shutdown(p->fd, p->what == SHUT_READ ? SHUT_RD : p->what == SHUT_WRITE ? SHUT_WR : SHUT_RDWR));
}

#define PUSHED(number, deed, ...)                                                                                      \
    do {                                                                                                               \
        struct worker w_;                                                                                              \
        struct push p_ = {number, deed, gettid()};                                                                     \
        begin(&w_, push, &p_);                                                                                         \
        SAY(__VA_ARGS__);                                                                                              \
        join(&w_);                                                                                                     \
    } while (0)

SCENARIO(shutdown_wakes_those_who_wait_for_readiness)
{
    static const char *deeds[] = {"own SHUT_RD", "own SHUT_WR", "own SHUT_RDWR"};
    for (int deed = SHUT_READ; deed <= SHUT_BOTH; deed++)
        for (int peers = 0; peers < 2; peers++) {
            if (deed == SHUT_WRITE && !peers) /* news to the peer only */
                continue;
            int p[2], ep = (int)MUST(epoll_create1(EPOLL_CLOEXEC)), asked = POLLIN | POLLRDHUP;
            char c;
            say("%s%s", deeds[deed], peers ? " of the peer" : "");
            if (deed == SHUT_READ && peers) /* nobody is told */
                continue;
            tcp_pair(p);
            struct pollfd one = {p[1], (short)asked, 0};
            PUSHED(p[!peers], deed, poll(&one, 1, 5000));
            say("poll: %s", events((uint32_t)one.revents));
            SAY(recv(p[1], &c, 1, 0));
            tcp_pair(p);
            MUST(add(ep, p[1], EPOLLIN | EPOLLRDHUP));
            PUSHED(p[!peers], deed, look("set", ep, 5000));
            look("level", ep, 0);
            tcp_pair(p);
            fd_set r;
            FD_ZERO(&r);
            FD_SET(p[1], &r);
            PUSHED(p[!peers], deed, select(p[1] + 1, &r, NULL, NULL, &(struct timeval){5, 0}));
            tcp_pair(p);
            PUSHED(p[!peers], deed, recv(p[1], &c, 1, 0));
            tcp_pair(p);
            PUSHED(p[!peers], deed, recv(p[1], &c, 1, MSG_PEEK));
        }
}

SCENARIO(shutdown_wakes_a_listener)
{
    for (int deed = SHUT_READ; deed <= SHUT_BOTH; deed += 2) {
        int l = listening(AF_INET, 4), ep = (int)MUST(epoll_create1(0));
        struct pollfd one = {l, POLLIN | POLLRDHUP, 0};
        MUST(add(ep, l, EPOLLIN));
        PUSHED(l, deed, poll(&one, 1, 5000));
        say("poll: %s", events((uint32_t)one.revents));
        look("set", ep, 1000);
        SAY(accept(l, NULL, NULL));
        l = listening(AF_INET, 4);
        PUSHED(l, deed, accept4(l, NULL, NULL, SOCK_CLOEXEC));
        SAY(listen(l, 4));
        int c = dialled(AF_INET, port_of(l));
        SAY(accept(l, NULL, NULL) > c);
    }
}

/* Bytes that were taken are a short count; then there is nothing but EPIPE. */
SCENARIO(shutdown_wakes_a_writer)
{
    static char big[8 << 20];
    signal(SIGPIPE, SIG_IGN);
    for (int deed = SHUT_WRITE; deed <= SHUT_BOTH; deed++) {
        int p[2];
        tcp_pair(p);
        struct worker w;
        struct push how = {p[0], deed, gettid()};
        begin(&w, push, &how);
        ssize_t n = send(p[0], big, sizeof big, 0);
        join(&w);
        CHECK(n > 0 && n < (ssize_t)sizeof big);
        SAY(send(p[0], big, sizeof big, 0));
        size_t got = 0;
        for (ssize_t r; (r = recv(p[1], big, sizeof big, 0)) > 0;)
            got += (size_t)r;
        SAY((ssize_t)got == n);
    }
}

SCENARIO(asleep_in_sets_of_sets)
{
    int p[2], inner = (int)SAY(epoll_create1(0)), middle = (int)SAY(epoll_create1(0)), outer = (int)SAY(epoll_create1(0));
    char c;
    tcp_pair(p);
    SAY(add(inner, p[1], EPOLLIN));
    SAY(add(middle, inner, EPOLLIN));
    SAY(add(outer, middle, EPOLLIN | EPOLLET));
    for (int i = 0; i < 3; i++) {
        PUSHED(p[0], SEND, look("outer", outer, 10000));
        look("an edge", outer, 0);
        look("middle", middle, 1000);
        look("inner", inner, 1000);
        SAY(recv(p[1], &c, 1, 0));
        look("none", middle, 0);
    }
    struct pollfd one = {middle, POLLIN, 0};
    PUSHED(p[0], SEND, poll(&one, 1, 10000));
    SAY(one.revents);
    SAY(recv(p[1], &c, 1, 0));
    fd_set r;
    FD_ZERO(&r);
    FD_SET(inner, &r);
    PUSHED(p[0], SEND, select(inner + 1, &r, NULL, NULL, &(struct timeval){10, 0}));
    SAY(FD_ISSET(inner, &r) != 0);
    SAY(close(inner));
    look("without the inner", middle, 20);
    SAY(recv(p[1], &c, 1, 0));
}

/* No room, and nobody makes any: all that can wake who waits for it is the end of that direction. */
SCENARIO(shutdown_wakes_those_who_wait_for_room)
{
    static char big[1 << 20];
    signal(SIGPIPE, SIG_IGN);
    for (int by_set = 0; by_set < 3; by_set++) {
        int p[2], ep = (int)MUST(epoll_create1(0));
        tcp_pair(p);
        nonblocking(p[0], true);
        struct pollfd one = {p[0], POLLOUT, 0};
        do
            while (send(p[0], big, sizeof big, 0) > 0)
                ;
        while (poll(&one, 1, 300) == 1); /* buffers may grow meanwhile */
        MUST(add(ep, p[0], by_set == 2 ? EPOLLOUT | EPOLLET : EPOLLOUT));
        look("full", ep, 0);
        if (by_set)
            PUSHED(p[0], SHUT_WRITE, look("set", ep, 5000));
        else
            PUSHED(p[0], SHUT_WRITE, poll(&one, 1, 5000));
        SAY(send(p[0], big, sizeof big, 0));
    }
}

/* --- members that are exclusive --- */
SCENARIO(exclusive_refusals)
{
    int p[2], ep = (int)SAY(epoll_create1(0)), other = (int)SAY(epoll_create1(0));
    tcp_pair(p);
    SAY(add(ep, p[1], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT));
    SAY(add(ep, p[1], EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP));
    SAY(add(ep, other, EPOLLIN | EPOLLEXCLUSIVE));
    SAY(add(ep, p[1], EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLEXCLUSIVE | EPOLLET));
    SAY(change(ep, p[1], EPOLLIN));
    look("writable", ep, 1000);
    send(p[0], "x", 1, 0);
    look("an edge", ep, 1000);
    SAY(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
    SAY(add(ep, p[1], EPOLLIN));
    SAY(change(ep, p[1], EPOLLIN | EPOLLEXCLUSIVE));
}

struct taker {
    int ep, fd;
    _Atomic int *taken, *over;
    struct worker worker;
};

static void take(void *arg)
{
    struct taker *t = arg;
    struct epoll_event e;
    while (!*t->over)
        if (epoll_wait(t->ep, &e, 1, 20) == 1) {
            int fd = accept4(t->fd, NULL, NULL, SOCK_NONBLOCK);
            if (fd >= 0) {
                (*t->taken)++;
                close(fd);
            }
        }
}

/* As prefork servers do: a set for each thread, the listener in all of them. Nobody is forgotten. */
SCENARIO(exclusive_listener)
{
    int l = listening(AF_INET, 64);
    char c;
    static _Atomic int taken, over;
    struct taker takers[3];
    nonblocking(l, true);
    for (int i = 0; i < 3; i++) {
        takers[i] = (struct taker){.ep = (int)MUST(epoll_create1(0)), .fd = l, .taken = &taken, .over = &over};
        MUST(add(takers[i].ep, l, EPOLLIN | EPOLLEXCLUSIVE));
        begin(&takers[i].worker, take, &takers[i]);
    }
    int ends = 0;
    for (int i = 0; i < 60; i++) {
        int fd = dialled(AF_INET, port_of(l));
        ends += recv(fd, &c, 1, 0) == 0;
        close(fd);
    }
    over = 1;
    for (int i = 0; i < 3; i++)
        join(&takers[i].worker);
    SAY(taken);
    SAY(ends);
}

/* --- a set for each thread --- */
struct desk {
    int ep, mine, served;
    struct worker worker;
};

static void serve_desk(void *arg)
{
    struct desk *d = arg;
    struct epoll_event e;
    char buf[64];
    while (d->mine && epoll_wait(d->ep, &e, 1, 10000) == 1) {
        ssize_t n = recv((int)(uint32_t)e.data.u64, buf, sizeof buf, 0);
        if (n > 0 && send_all((int)(uint32_t)e.data.u64, buf, (size_t)n))
            d->served += (int)n;
        else {
            close((int)(uint32_t)e.data.u64);
            d->mine--;
        }
    }
}

SCENARIO(two_threads_each_with_a_set)
{
    enum { EACH = 5, ROUNDS = 100 };
    static struct desk desks[2];
    int pairs[2 * EACH][2], right = 0;
    for (int i = 0; i < 2; i++)
        desks[i] = (struct desk){.ep = (int)MUST(epoll_create1(0)), .mine = EACH};
    for (int i = 0; i < 2 * EACH; i++) {
        tcp_pair(pairs[i]);
        MUST(add(desks[i % 2].ep, pairs[i][1], EPOLLIN));
    }
    for (int i = 0; i < 2; i++)
        begin(&desks[i].worker, serve_desk, &desks[i]);
    for (int round = 0; round < ROUNDS; round++) {
        char back[3];
        for (int i = 0; i < 2 * EACH; i++)
            MUST(send(pairs[i][0], "abc", 3, 0));
        for (int i = 0; i < 2 * EACH; i++)
            right += recv_all(pairs[i][0], back, 3) && memcmp(back, "abc", 3) == 0;
    }
    for (int i = 0; i < 2 * EACH; i++)
        MUST(close(pairs[i][0]));
    for (int i = 0; i < 2; i++) {
        join(&desks[i].worker);
        SAY(desks[i].served);
    }
    SAY(right);
}

/* --- a signal that tells which descriptor --- */
static _Atomic int told_fd, told_times;
static void on_ready(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    told_fd = info->si_fd;
    told_times++;
}

static void await_signal(const char *what, int fd)
{
    for (int i = 0; i < 5000 && !told_times; i++)
        nap_ms(1);
    say("%s: %s, number %s", what, told_times > 0 ? "told" : "silent", told_fd == fd ? "right" : "wrong");
    told_times = 0;
    told_fd = -1;
}

SCENARIO(signal_of_a_descriptor)
{
    int p[2], on = 1;
    char c;
    struct sigaction action = {.sa_sigaction = on_ready, .sa_flags = SA_SIGINFO | SA_RESTART};
    MUST(sigaction(SIGRTMIN + 3, &action, NULL));
    for (int way = 0; way < 2; way++) {
        tcp_pair(p);
        struct f_owner_ex owner = {F_OWNER_TID, gettid()}, got = {0};
        SAY(fcntl(p[1], F_SETSIG, SIGRTMIN + 3));
        SAY(fcntl(p[1], F_SETOWN_EX, &owner));
        SAY(fcntl(p[1], F_GETOWN_EX, &got));
        SAY(got.type == F_OWNER_TID && got.pid == gettid());
        SAY(way ? ioctl(p[1], FIOASYNC, &on) : fcntl(p[1], F_SETFL, O_ASYNC));
        told_times = 0;
        told_fd = -1;
        SAY(send(p[0], "x", 1, 0));
        await_signal("a byte", p[1]);
        SAY(recv(p[1], &c, 1, 0));
        nap_ms(5);
        told_times = 0;
        SAY(shutdown(p[0], SHUT_WR));
        await_signal("the end", p[1]);
        SAY(recv(p[1], &c, 1, 0));
        SAY(close(p[0]));
    }
}

/* A thread has waited for a set since before it had a connection, which is used and then asked for. */
static int early_set;
static _Atomic int early_thread;

static void wait_early(void *arg)
{
    (void)arg;
    early_thread = gettid();
    look("early", early_set, 5000);
}

SCENARIO(waits_since_before)
{
    struct worker w;
    int l = listening(AF_INET, 4), p[2];
    p[0] = dialled(AF_INET, port_of(l));
    p[1] = (int)MUST(accept(l, NULL, NULL));
    early_set = (int)MUST(epoll_create1(0));
    begin(&w, wait_early, NULL);
    while (!early_thread)
        nap_ms(1);
    await_sleep(early_thread);
    SAY(add(early_set, p[1], 0));
    warm_up(p);
    SAY(change(early_set, p[1], EPOLLIN));
    MUST(send(p[0], "x", 1, 0)); /* what the other says comes in between */
    join(&w);
}

/* Somebody waits for a set, as for a descriptor, and did so before it had a connection. */
static void wait_for_outer(void *outer)
{
    look("outer", *(int *)outer, 5000);
}

static void poll_one(void *one)
{
    SAY(poll(one, 1, 5000));
}

SCENARIO(nested_since_before)
{
    for (int polled = 0; polled < 2; polled++) {
        struct worker w;
        int p[2], l = listening(AF_INET, 4), ep = (int)MUST(epoll_create1(0)), outer = (int)MUST(epoll_create1(0));
        struct pollfd one = {ep, POLLIN, 0};
        p[0] = dialled(AF_INET, port_of(l));
        p[1] = (int)MUST(accept(l, NULL, NULL));
        SAY(polled ? poll(&one, 1, 0) : add(outer, ep, EPOLLIN));
        SAY(add(ep, p[1], EPOLLIN));
        warm_up(p);
        begin(&w, polled ? poll_one : wait_for_outer, polled ? (void *)&one : (void *)&outer);
        await_sleep(w.tid);
        MUST(send(p[0], "x", 1, 0));
        join(&w);
        look("inner", ep, 1000);
    }
}

/* A set has two numbers, and did before it had a connection. */
SCENARIO(copied_since_before)
{
    int p[2], l = listening(AF_INET, 4), ep = (int)MUST(epoll_create1(0)), copy = (int)MUST(dup(ep));
    struct worker w;
    p[0] = dialled(AF_INET, port_of(l));
    p[1] = (int)MUST(accept(l, NULL, NULL));
    SAY(add(ep, p[1], EPOLLIN));
    warm_up(p);
    begin(&w, wait_for_outer, &copy);
    await_sleep(w.tid);
    MUST(send(p[0], "x", 1, 0));
    join(&w);
    look("by its first number", ep, 1000);
}
