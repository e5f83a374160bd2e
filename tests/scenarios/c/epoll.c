/* epoll: triggers, sets of sets, changes by other threads, masks, many descriptors. */
#include "scenario.h"
#include "sets.h"

SCENARIO(level)
{
    int p[2], ep = (int)SAY(epoll_create1(EPOLL_CLOEXEC));
    char buf[8];
    tcp_pair(p);
    SAY(add(ep, p[1], EPOLLIN));
    look("idle", ep, 0);
    look("idle", ep, 10);
    send(p[0], "abc", 3, 0);
    look("data", ep, 1000);
    look("still", ep, 1000);
    SAY(recv(p[1], buf, 1, 0));
    look("some left", ep, 1000);
    SAY(recv(p[1], buf, 8, 0));
    look("all read", ep, 0);
    SAY(change(ep, p[1], EPOLLIN | EPOLLOUT | EPOLLRDHUP));
    look("writable", ep, 1000);
    shutdown(p[0], SHUT_WR);
    CHECK(readable(p[1], 1000) == 1);
    look("peer half closed", ep, 1000);
    SAY(change(ep, p[1], 0));
    look("nothing asked", ep, 0);
    close(p[0]);
    SAY(shutdown(p[1], SHUT_WR));
    look("hung up", ep, 1000);
    SAY(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
    look("taken out", ep, 0);
}

SCENARIO(edge)
{
    int p[2], ep = (int)SAY(epoll_create(1));
    char buf[8];
    tcp_pair(p);
    nonblocking(p[1], true);
    SAY(add(ep, p[1], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET));
    look("first", ep, 1000);
    look("no change", ep, 10);
    send(p[0], "abc", 3, 0);
    look("data", ep, 1000);
    look("not again", ep, 10);
    SAY(recv(p[1], buf, 1, 0));
    look("still not", ep, 10);
    send(p[0], "def", 3, 0);
    look("more data", ep, 1000);
    SAY(recv(p[1], buf, 8, 0));
    SAY(recv(p[1], buf, 8, 0));
    look("empty", ep, 10);
    send(p[0], "g", 1, 0);
    look("again", ep, 1000);
    SAY(change(ep, p[1], EPOLLIN | EPOLLET));
    look("re-armed", ep, 1000);
    shutdown(p[0], SHUT_WR);
    look("end", ep, 1000);
    look("once", ep, 10);
    SAY(recv(p[1], buf, 8, 0));
    SAY(recv(p[1], buf, 8, 0));
}

/* Non-blocking, and soon full towards p[1]. */
static void narrow_pair(int p[2])
{
    int small = 8192;
    tcp_pair(p);
    SAY(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    nonblocking(p[0], true);
    nonblocking(p[1], true);
}

SCENARIO(edge_writable_again)
{
    int p[2], ep = (int)SAY(epoll_create1(0));
    static char buf[65536];
    narrow_pair(p);
    SAY(add(ep, p[0], EPOLLOUT | EPOLLET));
    look("first", ep, 1000);
    size_t sent = 0, got = 0;
    ssize_t n;
    for (int round = 0; round < 3; round++) {
        while ((n = send(p[0], buf, sizeof buf, 0)) > 0)
            sent += (size_t)n;
        SAY(errno == EAGAIN);
        while (got < sent)
            if ((n = recv(p[1], buf, sizeof buf, 0)) > 0)
                got += (size_t)n;
            else if (readable(p[1], 1000) != 1)
                break;
        look("room again", ep, 1000);
    }
    CHECK(sent == got);
}

static uint32_t heard_of(int ep, int ms)
{
    struct epoll_event got = {0};
    return epoll_wait(ep, &got, 1, ms) == 1 ? got.events : 0;
}

/* News of bytes while there may be no room; of room the program hears then or later, but it does. */
SCENARIO(edges_of_both_sides)
{
    int p[2], ep = (int)SAY(epoll_create1(0));
    static char buf[65536];
    narrow_pair(p);
    SAY(add(ep, p[0], EPOLLIN | EPOLLOUT | EPOLLET));
    look("first", ep, 1000);
    for (int round = 0; round < 3; round++) {
        size_t sent = 0, got = 0;
        ssize_t n;
        while ((n = send(p[0], buf, sizeof buf, 0)) > 0)
            sent += (size_t)n;
        SAY(send(p[1], "x", 1, 0));
        uint32_t heard = heard_of(ep, 1000);
        while (!(heard & EPOLLIN) && (n = heard_of(ep, 1000)))
            heard |= (uint32_t)n;
        SAY(recv(p[0], buf, 8, 0));
        while (got < sent)
            if ((n = recv(p[1], buf, sizeof buf, 0)) > 0)
                got += (size_t)n;
            else if (readable(p[1], 1000) != 1)
                break;
        if (!(heard & EPOLLOUT))
            heard |= heard_of(ep, 1000);
        CHECK(heard & EPOLLIN && heard & EPOLLOUT);
        CHECK(sent == got);
    }
}

SCENARIO(oneshot)
{
    int p[2], ep = (int)SAY(epoll_create1(0));
    char buf[8];
    tcp_pair(p);
    SAY(add(ep, p[1], EPOLLIN | EPOLLONESHOT));
    send(p[0], "ab", 2, 0);
    look("once", ep, 1000);
    look("silent", ep, 10);
    SAY(recv(p[1], buf, 1, 0));
    send(p[0], "cd", 2, 0);
    look("silent", ep, 10);
    SAY(change(ep, p[1], EPOLLIN | EPOLLONESHOT));
    look("armed", ep, 1000);
    SAY(change(ep, p[1], EPOLLOUT | EPOLLONESHOT | EPOLLET));
    look("armed for writing", ep, 1000);
    look("silent", ep, 10);
}

SCENARIO(errors)
{
    int p[2], ep = (int)SAY(epoll_create1(0)), other = (int)SAY(epoll_create1(0)), pipes[2];
    struct epoll_event e = {EPOLLIN, {0}};
    tcp_pair(p);
    MUST(pipe(pipes));
    SAY(epoll_create(0));
    SAY(epoll_create1(12345));
    SAY(add(ep, p[0], EPOLLIN));
    SAY(add(ep, p[0], EPOLLIN));
    SAY(change(ep, p[1], EPOLLIN));
    SAY(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
    SAY(epoll_ctl(ep, 99, p[0], &e));
    SAY(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &e));
    SAY(epoll_ctl(-1, EPOLL_CTL_ADD, p[1], &e));
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, -1, &e));
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, 1 << 30, &e));
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], null));
    int file = open("/proc/self/exe", O_RDONLY);
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, file, &e));
    SAY(add(ep, other, EPOLLIN));
    SAY(add(other, ep, EPOLLIN));
    SAY(epoll_wait(ep, &e, 0, 0));
    SAY(epoll_wait(ep, &e, minus_one, 0));
    SAY(epoll_wait(p[0], &e, 1, 0));
    SAY(epoll_wait(-1, &e, 1, 0));
    SAY(epoll_wait(1 << 30, &e, 1, 10));
    SAY(epoll_wait(ep, &e, minus_one & 0x7fffffff, 10));
    SAY(add(ep, p[1], EPOLLIN | EPOLLEXCLUSIVE));
    SAY(change(ep, p[1], EPOLLIN | EPOLLEXCLUSIVE));
    SAY(close(ep));
    SAY(epoll_wait(ep, &e, 1, 10));
    SAY(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
}

SCENARIO(closing_members)
{
    int p[2], q[2], ep = (int)SAY(epoll_create1(0));
    tcp_pair(p);
    tcp_pair(q);
    SAY(add(ep, p[1], EPOLLIN));
    send(p[0], "x", 1, 0);
    look("there", ep, 1000);
    int copy = (int)SAY(dup(p[1]));
    SAY(close(p[1]));
    look("the copy keeps it", ep, 1000);
    SAY(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
    SAY(add(ep, copy, EPOLLIN));
    look("the copy and a ghost", ep, 1000);
    SAY(close(copy));
    look("gone", ep, 10);
    /* another connection gets the same number */
    int same = (int)SAY(dup2(q[1], p[1]));
    SAY(add(ep, same, EPOLLIN));
    look("silent", ep, 10);
    send(q[0], "y", 1, 0);
    look("the new one", ep, 1000);
    int copy_of_set = (int)SAY(dup(ep));
    look("through a copy of the set", copy_of_set, 1000);
    SAY(close(ep));
    look("and after the first is closed", copy_of_set, 1000);
}

SCENARIO(nested_and_shared)
{
    int p[2], inner = (int)SAY(epoll_create1(0)), outer = (int)SAY(epoll_create1(0)), second = (int)SAY(epoll_create1(0));
    char buf[8];
    tcp_pair(p);
    SAY(add(inner, p[1], EPOLLIN));
    SAY(add(outer, inner, EPOLLIN));
    SAY(add(second, p[1], EPOLLIN));
    look("outer idle", outer, 10);
    send(p[0], "x", 1, 0);
    look("outer", outer, 1000);
    look("inner", inner, 1000);
    look("second set", second, 1000);
    struct pollfd set = {outer, POLLIN, 0};
    SAY(poll(&set, 1, 1000));
    recv(p[1], buf, 8, 0);
    look("outer", outer, 0);
    SAY(poll(&set, 1, 0));
}

struct helper {
    int ep, fd, sleeper, step, peer;
};

static void meddle(void *arg)
{
    struct helper *h = arg;
    await_sleep(h->sleeper);
    if (h->step == 0)
        add(h->ep, h->fd, EPOLLIN);
    else if (h->step == 1)
        change(h->ep, h->fd, EPOLLOUT);
    else if (h->step == 2)
        close(h->fd);
    else {
        add(h->ep, h->fd, EPOLLIN);
        nanosleep(&(struct timespec){0, 50000000}, NULL);
        send(h->peer, "x", 1, 0);
    }
}

SCENARIO(changed_while_waiting)
{
    int p[2], q[2], ep = (int)SAY(epoll_create1(0));
    char buf[8];
    tcp_pair(p);
    tcp_pair(q);
    SAY(add(ep, q[1], EPOLLIN));
    send(p[0], "x", 1, 0);
    await_bytes(p[1], 1);
    struct worker w;
    struct helper h = {ep, p[1], gettid(), 0, -1};
    begin(&w, meddle, &h); /* adds a ready descriptor */
    look("added", ep, 10000);
    join(&w);
    recv(p[1], buf, 8, 0);
    h.step = 1;
    begin(&w, meddle, &h); /* asks for what is there */
    look("modified", ep, 10000);
    join(&w);
    SAY(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
    h = (struct helper){ep, q[0], gettid(), 2, -1};
    begin(&w, meddle, &h); /* closes the peer */
    look("peer closed", ep, 10000);
    join(&w);
    int empty = (int)SAY(epoll_create1(0));
    h = (struct helper){empty, q[1], gettid(), 0, -1};
    begin(&w, meddle, &h); /* the first member of an empty set */
    look("filled", empty, 10000);
    join(&w);
    int l = listening(AF_INET, 8), listeners = (int)SAY(epoll_create1(0));
    SAY(add(listeners, l, EPOLLIN));
    tcp_pair(q);
    h = (struct helper){listeners, q[1], gettid(), 3, q[0]};
    begin(&w, meddle, &h); /* the first connection of a set that has listeners, silent for a moment */
    look("joined", listeners, 10000);
    join(&w);
    int way[2], others = (int)SAY(epoll_create1(0));
    MUST(pipe(way));
    SAY(add(others, way[0], EPOLLIN));
    tcp_pair(p);
    h = (struct helper){others, p[1], gettid(), 3, p[0]};
    begin(&w, meddle, &h); /* the first socket of a set that is waited for */
    look("joined the pipe", others, 10000);
    join(&w);
}

SCENARIO(timeouts)
{
    int p[2], ep = (int)SAY(epoll_create1(0));
    struct epoll_event e;
    tcp_pair(p);
    SAY(add(ep, p[0], EPOLLIN));
    static const int waits[] = {0, 1, 30, 120};
    for (int i = 0; i < 4; i++) {
        int64_t start = now_ms();
        SAY(epoll_wait(ep, &e, 1, waits[i]));
        CHECK(now_ms() - start >= waits[i] - 1 && now_ms() - start < waits[i] + 1000);
        start = now_ms();
        SAY(epoll_pwait(ep, &e, 1, waits[i], NULL));
        CHECK(now_ms() - start >= waits[i] - 1 && now_ms() - start < waits[i] + 1000);
        struct timespec t = {0, waits[i] * 1000000l};
        start = now_ms();
        SAY(epoll_pwait2(ep, &e, 1, &t, NULL));
        CHECK(now_ms() - start >= waits[i] - 1 && now_ms() - start < waits[i] + 1000);
    }
    struct timespec wrong = {0, 1000000000};
    SAY(epoll_pwait2(ep, &e, 1, &wrong, NULL));
}

SCENARIO(mixed)
{
    int p[2], u[2], pipes[2], un[2], ep = (int)SAY(epoll_create1(0)), l = listening(AF_INET, 4);
    tcp_pair(p);
    udp_pair(u);
    MUST(pipe(pipes));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, un));
    int event = (int)MUST(eventfd(0, 0)), timer = (int)MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    int all[] = {l, p[1], u[1], pipes[0], un[1], event, timer};
    for (int i = 0; i < 7; i++)
        SAY(add(ep, all[i], EPOLLIN));
    look("idle", ep, 10);
    uint64_t one = 1;
    struct itimerspec soon = {.it_value = {0, 1}};
    MUST(write(pipes[1], "x", 1));
    look("pipe", ep, 1000);
    MUST(send(u[0], "x", 1, 0));
    look("and UDP", ep, 1000);
    MUST(write(event, &one, 8));
    look("and event", ep, 1000);
    MUST(send(un[0], "x", 1, 0));
    look("and Unix", ep, 1000);
    int c = dialled(AF_INET, port_of(l));
    look("and a connection", ep, 1000);
    MUST(timerfd_settime(timer, 0, &soon, NULL));
    CHECK(readable(timer, 1000) == 1);
    look("and a timer", ep, 1000);
    MUST(send(p[0], "x", 1, 0));
    await_bytes(p[1], 1);
    look("all", ep, 1000);
    struct epoll_event few[2];
    bool seen[64] = {0};
    for (int turn = 0; turn < 40; turn++) { /* a small window is fair */
        int n = epoll_wait(ep, few, 2, 1000);
        for (int i = 0; i < n; i++)
            seen[(uint32_t)few[i].data.u64 % 64] = true;
    }
    bool everyone = true;
    for (int i = 0; i < 7; i++)
        everyone &= seen[all[i]];
    CHECK(everyone);
    SAY(close(c));
}

SCENARIO(five_thousand)
{
    enum { N = 2500 };
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    static int pairs[N][2];
    static bool seen[20000];
    static struct epoll_event got[512];
    int ep = (int)SAY(epoll_create1(0)), l = listening(AF_INET, 128), port = port_of(l);
    for (int i = 0; i < N; i++) {
        pairs[i][0] = dialled(AF_INET, port);
        pairs[i][1] = (int)MUST(accept(l, NULL, NULL));
        MUST(add(ep, pairs[i][0], EPOLLIN));
        MUST(add(ep, pairs[i][1], EPOLLIN));
    }
    SAY(pairs[N - 1][1]);
    look("idle", ep, 0);
    for (int i = 0; i < N; i++)
        MUST(send(pairs[i][i % 2], "x", 1, 0));
    int count = 0, wrong = 0, n;
    while (count < N && (n = epoll_wait(ep, got, 512, 2000)) > 0)
        for (int i = 0; i < n; i++) {
            int fd = (int)(uint32_t)got[i].data.u64;
            char c;
            wrong += seen[fd] || got[i].events != EPOLLIN || recv(fd, &c, 1, MSG_DONTWAIT) != 1;
            seen[fd] = true;
            count++;
        }
    SAY(count);
    SAY(wrong);
    look("quiet", ep, 0);
    for (int i = 0; i < N; i++)
        close(pairs[i][0]);
    int ends = 0;
    for (int i = 0; i < N; i++) {
        char c;
        ends += recv(pairs[i][1], &c, 1, 0) == 0;
        close(pairs[i][1]);
    }
    SAY(ends);
    look("empty", ep, 0);
}
