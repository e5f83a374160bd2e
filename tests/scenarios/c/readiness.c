/* poll and select: mixed sets, events, timeouts, masks, large numbers. */
#include "scenario.h"

/* One of each kind in one set. */
struct mixed {
    int listener, client, server, udp[2], pipe[2], event, timer, unix_pair[2], count;
};

static void mix(struct mixed *m)
{
    int p[2];
    m->listener = listening(AF_INET, 8);
    m->client = dialled(AF_INET, port_of(m->listener));
    m->server = (int)MUST(accept(m->listener, NULL, NULL));
    udp_pair(p);
    memcpy(m->udp, p, sizeof p);
    MUST(pipe(m->pipe));
    m->event = (int)MUST(eventfd(0, EFD_NONBLOCK));
    m->timer = (int)MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, m->unix_pair));
}

static const char *events(int e)
{
    static __thread char text[128];
    static const struct {
        int bit;
        const char *name;
    } names[] = {{POLLIN, "IN"}, {POLLPRI, "PRI"}, {POLLOUT, "OUT"}, {POLLERR, "ERR"}, {POLLHUP, "HUP"},
                 {POLLNVAL, "NVAL"}, {POLLRDHUP, "RDHUP"}, {POLLRDNORM, "RDNORM"}, {POLLWRNORM, "WRNORM"}};
    *text = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (e & names[i].bit)
            strcat(strcat(text, *text ? "|" : ""), names[i].name);
    return text;
}

static void tell(const char *what, int n, struct pollfd *set, int count)
{
    say("%s: %d%s%s", what, n, n < 0 ? " " : "", n < 0 ? name_of(errno) : "");
    for (int i = 0; i < count; i++)
        if (set[i].revents)
            say("  entry %d: %s", i, events(set[i].revents));
}

enum { LISTENER, SERVER, UDP, PIPE, EVENT, TIMER, UNIX, KINDS };

static void make_ready(struct mixed *m, int kind)
{
    uint64_t one = 1;
    struct itimerspec soon = {.it_value = {0, 1000000}};
    switch (kind) {
    case LISTENER: m->count = dialled(AF_INET, port_of(m->listener)); break;
    case SERVER: MUST(send(m->client, "x", 1, 0)); break;
    case UDP: MUST(send(m->udp[0], "x", 1, 0)); break;
    case PIPE: MUST(write(m->pipe[1], "x", 1)); break;
    case EVENT: MUST(write(m->event, &one, 8)); break;
    case TIMER: MUST(timerfd_settime(m->timer, 0, &soon, NULL)); break;
    case UNIX: MUST(write(m->unix_pair[0], "x", 1)); break;
    }
}

static void consume(struct mixed *m, int kind)
{
    char buf[8];
    switch (kind) {
    case LISTENER: close((int)MUST(accept(m->listener, NULL, NULL))); close(m->count); break;
    case SERVER: MUST(recv(m->server, buf, 1, 0)); break;
    case UDP: MUST(recv(m->udp[1], buf, 1, 0)); break;
    case PIPE: MUST(read(m->pipe[0], buf, 1)); break;
    case EVENT: MUST(read(m->event, buf, 8)); break;
    case TIMER: MUST(read(m->timer, buf, 8)); break;
    case UNIX: MUST(read(m->unix_pair[1], buf, 1)); break;
    }
}

struct late {
    struct mixed *m;
    int kind, sleeper;
};

static void wake_later(void *arg)
{
    struct late *l = arg;
    await_sleep(l->sleeper);
    make_ready(l->m, l->kind);
}

static void mixed_set(int (*wait)(struct pollfd *, int))
{
    struct mixed m;
    mix(&m);
    struct pollfd set[KINDS] = {{m.listener, POLLIN, 0}, {m.server, POLLIN, 0}, {m.udp[1], POLLIN, 0}, {m.pipe[0], POLLIN, 0},
                                {m.event, POLLIN, 0}, {m.timer, POLLIN, 0}, {m.unix_pair[1], POLLIN, 0}};
    tell("at rest", wait(set, 10), set, KINDS);
    for (int kind = 0; kind < KINDS; kind++) {
        struct late l = {&m, kind, gettid()};
        struct worker w;
        begin(&w, wake_later, &l);
        tell("woken", wait(set, 10000), set, KINDS);
        join(&w);
        tell("level", wait(set, 10000), set, KINDS);
        consume(&m, kind);
        tell("taken", wait(set, 0), set, KINDS);
    }
}

static int by_poll(struct pollfd *set, int ms)
{
    return poll(set, KINDS, ms);
}

static int by_ppoll(struct pollfd *set, int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    return ppoll(set, KINDS, &t, NULL);
}

static int by_select(struct pollfd *set, int ms)
{
    fd_set r;
    int top = 0;
    FD_ZERO(&r);
    for (int i = 0; i < KINDS; i++) {
        FD_SET(set[i].fd, &r);
        top = set[i].fd > top ? set[i].fd : top;
    }
    struct timeval t = {ms / 1000, ms % 1000 * 1000};
    int n = select(top + 1, &r, NULL, NULL, &t);
    for (int i = 0; i < KINDS; i++)
        set[i].revents = n > 0 && FD_ISSET(set[i].fd, &r) ? POLLIN : 0;
    return n;
}

static int by_pselect(struct pollfd *set, int ms)
{
    fd_set r;
    FD_ZERO(&r);
    for (int i = 0; i < KINDS; i++)
        FD_SET(set[i].fd, &r);
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    int n = pselect(FD_SETSIZE, &r, NULL, NULL, &t, NULL);
    for (int i = 0; i < KINDS; i++)
        set[i].revents = n > 0 && FD_ISSET(set[i].fd, &r) ? POLLIN : 0;
    return n;
}

SCENARIO(mixed_poll)
{
    mixed_set(by_poll);
}

SCENARIO(mixed_ppoll)
{
    mixed_set(by_ppoll);
}

SCENARIO(mixed_select)
{
    mixed_set(by_select);
}

SCENARIO(mixed_pselect)
{
    mixed_set(by_pselect);
}

SCENARIO(poll_events)
{
    int p[2], l = listening(AF_INET, 2);
    tcp_pair(p);
    struct pollfd one = {p[0], -1, 0};
    tell("idle", poll(&one, 1, 0), &one, 1);
    send(p[1], "x", 1, 0);
    await_bytes(p[0], 1);
    tell("data", poll(&one, 1, 0), &one, 1);
    one.events = 0;
    tell("not asked", poll(&one, 1, 5), &one, 1);
    shutdown(p[1], SHUT_WR);
    one.events = POLLRDHUP;
    tell("half closed", poll(&one, 1, 1000), &one, 1);
    one.events = -1;
    tell("half closed", poll(&one, 1, 1000), &one, 1);
    shutdown(p[0], SHUT_WR);
    one.events = 0;
    tell("both closed", poll(&one, 1, 1000), &one, 1);
    int fresh = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), udp = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct pollfd set[] = {{fresh, -1, 0}, {udp, -1, 0}, {l, -1, 0}, {-1, -1, 5}, {-7, POLLIN, 5}, {999, POLLIN, 0},
                           {l, POLLOUT, 0}, {udp, POLLOUT, 0}, {udp, POLLOUT, 0}};
    tell("others", poll(set, 9, 0), set, 9);
    tell("none", poll(NULL, 0, 5), NULL, 0);
    close(udp);
    tell("closed", poll(set, 9, 10), set, 9);
    one = (struct pollfd){p[1], POLLIN, 0};
    SAY(ppoll(&one, 1, &(struct timespec){0, 1000000000}, NULL));
    SAY(ppoll(&one, 1, &(struct timespec){-1, 0}, NULL));
}

SCENARIO(timeouts)
{
    int p[2];
    tcp_pair(p);
    struct pollfd one = {p[0], POLLIN, 0};
    static const int waits[] = {0, 1, 20, 100};
    for (int i = 0; i < 4; i++) {
        int64_t start = now_ms();
        SAY(poll(&one, 1, waits[i]));
        CHECK(now_ms() - start >= waits[i] - 1 && now_ms() - start < waits[i] + 1000);
        struct timespec t = {0, waits[i] * 1000000l};
        start = now_ms();
        SAY(ppoll(&one, 1, &t, NULL));
        CHECK(now_ms() - start >= waits[i] - 1 && now_ms() - start < waits[i] + 1000);
        SAY(t.tv_nsec); /* left alone */
        fd_set r;
        FD_ZERO(&r);
        FD_SET(p[0], &r);
        struct timeval v = {0, waits[i] * 1000};
        start = now_ms();
        SAY(select(p[0] + 1, &r, NULL, NULL, &v));
        CHECK(now_ms() - start >= waits[i] - 1 && now_ms() - start < waits[i] + 1000);
        SAY(FD_ISSET(p[0], &r));
        SAY(v.tv_usec); /* what was left */
        SAY(select(0, NULL, NULL, NULL, &(struct timeval){0, 1000}));
    }
    /* what is left of select's time when something was ready */
    send(p[1], "x", 1, 0);
    await_bytes(p[0], 1);
    fd_set r;
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    struct timeval v = {50, 0};
    SAY(select(p[0] + 1, &r, NULL, NULL, &v));
    CHECK(v.tv_sec >= 49 && v.tv_sec <= 50);
}

SCENARIO(select_sets)
{
    int p[2];
    tcp_pair(p);
    fd_set r, w, e;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&e);
    FD_SET(p[0], &r);
    FD_SET(p[0], &w);
    FD_SET(p[1], &w);
    FD_SET(p[0], &e);
    struct timeval t = {5, 0};
    SAY(select(p[1] + 1, &r, &w, &e, &t));
    say("%d %d %d %d", FD_ISSET(p[0], &r), FD_ISSET(p[0], &w), FD_ISSET(p[1], &w), FD_ISSET(p[0], &e));
    send(p[1], "!", 1, MSG_OOB);
    FD_ZERO(&r);
    FD_ZERO(&e);
    FD_SET(p[0], &r);
    FD_SET(p[0], &e);
    SAY(select(p[0] + 1, NULL, NULL, &e, &t));
    SAY(FD_ISSET(p[0], &e));
    SAY(select(-1, &r, NULL, NULL, &t));
    t.tv_usec = -1;
    SAY(select(p[0] + 1, &r, NULL, NULL, &t));
    t = (struct timeval){0, 1000};
    close(p[1]);
    FD_ZERO(&r);
    FD_SET(p[1], &r);
    SAY(select(p[1] + 1, &r, NULL, NULL, &t));
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    SAY(pselect(p[0] + 1, &r, NULL, NULL, NULL, NULL));
    SAY(FD_ISSET(p[0], &r));
}

/* Numbers beyond FD_SETSIZE, with sets of the program's own making. */
SCENARIO(large_numbers)
{
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    int p[2];
    tcp_pair(p);
    int high = (int)SAY(fcntl(p[0], F_DUPFD, 3000));
    int other = (int)SAY(dup2(p[1], 5000));
    SAY(close(p[0]));
    SAY(close(p[1]));
    int next = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(send(high, "high", 4, 0));
    char buf[8];
    struct pollfd set[] = {{high, POLLOUT, 0}, {other, POLLIN, 0}};
    tell("poll", poll(set, 2, 1000), set, 2);
    static unsigned long bits[6000 / 64 + 1];
    bits[other / 64] |= 1ul << (other % 64);
    SAY(select(other + 1, (fd_set *)bits, NULL, NULL, NULL));
    SAY(bits[other / 64] >> (other % 64) & 1);
    SAY(recv(other, buf, 8, 0));
    nonblocking(other, true);
    SAY(recv(other, buf, 8, 0));
    SAY(close(high));
    SAY(readable(other, 1000));
    SAY(recv(other, buf, 8, 0));
    SAY(close(other));
    SAY(close(next));
    SAY(recv(other, buf, 8, 0));
}

SCENARIO(many_in_one_poll)
{
    enum { N = 300 };
    static int pairs[N][2];
    static struct pollfd set[N];
    for (int i = 0; i < N; i++) {
        tcp_pair(pairs[i]);
        set[i] = (struct pollfd){pairs[i][1], POLLIN, 0};
    }
    SAY(poll(set, N, 0));
    for (int i = 0; i < N; i += 7)
        MUST(send(pairs[i][0], "x", 1, 0));
    int want = (N + 6) / 7, n = 0;
    for (int turns = 0; turns < 1000 && (n = poll(set, N, 1000)) < want; turns++)
        ;
    SAY(n);
    bool right = true;
    for (int i = 0; i < N; i++)
        right &= (set[i].revents != 0) == (i % 7 == 0);
    CHECK(right);
}

/* Programs ask about getdtablesize() numbers and pass a plain set: the kernel reads no further than to the numbers in
 * use, and refuses counts that no process can have. */
SCENARIO(more_numbers_than_memory)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fd_set *set = (fd_set *)(page + 4096) - 1;
    struct pollfd *one = (struct pollfd *)(page + 4096) - 1;
    int pipes[2], p[2] = {-1, -1};
    MUST(mprotect(page + 4096, 4096, PROT_NONE));
    MUST(pipe(pipes));
    for (int ours = 0; ours < 2; ours++) { /* before the first socket, and beside a connection */
        if (ours)
            tcp_pair(p);
        for (int with_data = 0; with_data < 2; with_data++) {
            struct timeval moment = {0, 1000};
            FD_ZERO(set);
            FD_SET(pipes[0], set);
            if (ours)
                FD_SET(p[1], set);
            SAY(select(1 << 20, set, NULL, NULL, &moment));
            if (ours && !with_data)
                MUST(send(p[0], "x", 1, 0));
        }
        *one = (struct pollfd){pipes[0], POLLIN, 0};
        SAY(poll(one, (nfds_t)minus_one, 1));
    }
}
