/* Many threads: disjoint sockets, one listener, one socket, small stacks. */
#include "scenario.h"

enum { THREADS = 12 };

struct job {
    int fd[2], seed, wrong;
};

static void ping_pong(void *arg)
{
    struct job *j = arg;
    unsigned char out[700], in[700];
    for (int i = 0; i < 400; i++) {
        size_t n = 1 + (size_t)((i * 31 + j->seed) % 700);
        fill(out, n, (uint64_t)i, (unsigned)j->seed);
        j->wrong += !send_all(j->fd[0], out, n) || !recv_all(j->fd[1], in, n) || memcmp(in, out, n) != 0;
        j->wrong += !send_all(j->fd[1], in, n) || !recv_all(j->fd[0], out, n) || memcmp(in, out, n) != 0;
    }
}

SCENARIO(twelve_on_disjoint_sockets)
{
    static struct job jobs[THREADS];
    static struct worker workers[THREADS];
    int wrong = 0;
    for (int i = 0; i < THREADS; i++) {
        jobs[i].seed = i;
        if (i % 3 == 2)
            udp_pair(jobs[i].fd);
        else
            tcp_pair(jobs[i].fd);
    }
    for (int i = 0; i < THREADS; i++)
        begin(&workers[i], ping_pong, &jobs[i]);
    for (int i = 0; i < THREADS; i++) {
        join(&workers[i]);
        wrong += jobs[i].wrong;
    }
    SAY(wrong);
}

struct crew {
    int listener, port;
    _Atomic int served, wrong;
};

static void accept_and_serve(void *arg)
{
    struct crew *crew = arg;
    int fd;
    char buf[64];
    while ((fd = accept(crew->listener, NULL, NULL)) >= 0) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n > 0)
            send_all(fd, buf, (size_t)n);
        close(fd);
        crew->served++;
    }
}

static void visit(void *arg)
{
    struct crew *crew = arg;
    for (int i = 0; i < 50; i++) {
        char out[16], in[16];
        snprintf(out, sizeof out, "visit %d", i);
        int fd = dialled(AF_INET, crew->port);
        crew->wrong += !send_all(fd, out, sizeof out) || !recv_all(fd, in, sizeof in) || strcmp(in, out) != 0;
        crew->wrong += recv(fd, in, 1, 0) != 0;
        close(fd);
    }
}

SCENARIO(six_accept_on_one_listener)
{
    static struct crew crew;
    static struct worker servers[6], clients[6];
    crew.listener = listening(AF_INET, 128);
    crew.port = port_of(crew.listener);
    for (int i = 0; i < 6; i++)
        begin(&servers[i], accept_and_serve, &crew);
    for (int i = 0; i < 6; i++)
        begin(&clients[i], visit, &crew);
    for (int i = 0; i < 6; i++)
        join(&clients[i]);
    SAY(shutdown(crew.listener, SHUT_RDWR));
    for (int i = 0; i < 6; i++)
        join(&servers[i]);
    SAY(crew.served);
    SAY(crew.wrong);
}

/* Accepted in one thread, served by others that share one epoll set. */
struct pool {
    int ep, stop;
    _Atomic int echoed, ended;
};

static void serve_set(void *arg)
{
    struct pool *pool = arg;
    struct epoll_event e;
    char buf[256];
    while (epoll_wait(pool->ep, &e, 1, -1) == 1 && e.data.fd != pool->stop) {
        ssize_t n = recv(e.data.fd, buf, sizeof buf, 0);
        if (n <= 0) {
            close(e.data.fd);
            pool->ended++;
            continue;
        }
        send_all(e.data.fd, buf, (size_t)n);
        pool->echoed++;
        e.events = EPOLLIN | EPOLLONESHOT;
        MUST(epoll_ctl(pool->ep, EPOLL_CTL_MOD, e.data.fd, &e));
    }
}

static void talk(void *arg)
{
    struct crew *crew = arg;
    int fd = dialled(AF_INET, crew->port);
    for (int i = 0; i < 100; i++) {
        char out[64], in[64];
        fill(out, sizeof out, (uint64_t)i, (unsigned)fd);
        crew->wrong += !send_all(fd, out, sizeof out) || !recv_all(fd, in, sizeof in) || memcmp(in, out, sizeof in) != 0;
    }
    close(fd);
}

SCENARIO(pool_on_one_epoll_set)
{
    static struct pool pool;
    static struct crew crew;
    static struct worker servers[4], clients[8];
    crew.listener = listening(AF_INET, 128);
    crew.port = port_of(crew.listener);
    pool.ep = (int)MUST(epoll_create1(0));
    pool.stop = (int)MUST(eventfd(0, 0));
    for (int i = 0; i < 4; i++)
        begin(&servers[i], serve_set, &pool);
    for (int i = 0; i < 8; i++)
        begin(&clients[i], talk, &crew);
    for (int i = 0; i < 8; i++) {
        struct epoll_event e = {EPOLLIN | EPOLLONESHOT, {.fd = (int)MUST(accept(crew.listener, NULL, NULL))}};
        MUST(epoll_ctl(pool.ep, EPOLL_CTL_ADD, e.data.fd, &e));
    }
    for (int i = 0; i < 8; i++)
        join(&clients[i]);
    for (int i = 0; i < 10000 && pool.ended < 8; i++)
        nap_ms(1);
    struct epoll_event e = {EPOLLIN, {.fd = pool.stop}};
    MUST(epoll_ctl(pool.ep, EPOLL_CTL_ADD, pool.stop, &e));
    uint64_t one = 1;
    MUST(write(pool.stop, &one, 8));
    for (int i = 0; i < 4; i++)
        join(&servers[i]);
    SAY(crew.wrong);
    CHECK(pool.echoed >= 800);
    SAY(pool.ended);
}

/* One writer per direction on one socket, and several readers of one datagram socket: each datagram is seen once. */
struct readers {
    int fd;
    _Atomic int seen[600], total;
};

static void read_datagrams(void *arg)
{
    struct readers *r = arg;
    int i;
    while (recv(r->fd, &i, sizeof i, 0) == sizeof i && i >= 0) {
        r->seen[i]++;
        r->total++;
    }
}

SCENARIO(readers_of_one_datagram_socket)
{
    static struct readers r;
    static struct worker w[4];
    int p[2], twice = 0;
    udp_pair(p);
    r.fd = p[1];
    for (int i = 0; i < 4; i++)
        begin(&w[i], read_datagrams, &r);
    for (int i = 0; i < 600; i++) {
        MUST(send(p[0], &i, sizeof i, 0));
        for (int turns = 0; turns < 10000 && i - r.total > 50; turns++)
            nap_ms(1); /* the socket's buffer holds some two hundred */
    }
    int stop = -1;
    for (int i = 0; i < 4; i++)
        MUST(send(p[0], &stop, sizeof stop, 0));
    for (int i = 0; i < 4; i++)
        join(&w[i]);
    for (int i = 0; i < 600; i++)
        twice += r.seen[i] != 1;
    SAY(r.total);
    SAY(twice);
}

struct one_stream {
    int fd;
    _Atomic int64_t sum, bytes;
};

static void write_records(void *arg)
{
    struct one_stream *s = arg;
    char record[100];
    memset(record, 1, sizeof record);
    for (int i = 0; i < 500; i++)
        if (send_all(s->fd, record, sizeof record))
            s->bytes += (int64_t)sizeof record;
}

static void read_bytes(void *arg)
{
    struct one_stream *s = arg;
    char buf[333];
    ssize_t n;
    while ((n = recv(s->fd, buf, sizeof buf, 0)) > 0)
        for (ssize_t i = 0; i < n; i++)
            s->sum += buf[i];
}

SCENARIO(many_on_one_stream)
{
    static struct one_stream in, out;
    static struct worker readers[4], writers[4];
    int p[2];
    tcp_pair(p);
    out.fd = p[0];
    in.fd = p[1];
    for (int i = 0; i < 4; i++) {
        begin(&readers[i], read_bytes, &in);
        begin(&writers[i], write_records, &out);
    }
    for (int i = 0; i < 4; i++)
        join(&writers[i]);
    SAY(shutdown(p[0], SHUT_WR));
    for (int i = 0; i < 4; i++)
        join(&readers[i]);
    SAY(out.bytes);
    SAY(in.sum);
}

static void everything(void *arg)
{
    (void)arg;
    int p[2], u[2], ep = (int)MUST(epoll_create1(0));
    char buf[8];
    tcp_pair(p); /* the process's first sockets: whatever starts, starts on this stack */
    udp_pair(u);
    struct epoll_event e = {EPOLLIN, {0}};
    struct pollfd one = {u[1], POLLIN, 0};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
    say("%zd", send(p[0], "small", 5, 0));
    say("%d", epoll_wait(ep, &e, 1, 1000));
    say("%zd", recv(p[1], buf, 8, 0));
    say("%zd", recv(p[1], buf, 8, MSG_DONTWAIT));
    say("%zd", send(u[0], "stack", 5, 0));
    say("%d", poll(&one, 1, 1000));
    say("%zd", recv(u[1], buf, 8, 0));
    int yes = 1;
    say("%d", setsockopt(p[0], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
    say("%d %d", dup(p[0]), shutdown(p[0], SHUT_WR));
    say("%zd", recv(p[1], buf, 8, 0));
    say("%d %d", close(p[0]), close(u[0]));
}

SCENARIO(small_stack)
{
    struct worker w;
    begin_with(&w, everything, NULL, 16384);
    join(&w);
    begin_with(&w, everything, NULL, 16384);
    join(&w);
}

static void short_lived(void *arg)
{
    int *fd = arg;
    char c;
    (void)!send(fd[0], "x", 1, 0);
    (void)!recv(fd[1], &c, 1, 0);
}

SCENARIO(two_thousand_short_threads)
{
    int p[2];
    tcp_pair(p);
    struct worker w[4];
    for (int i = 0; i < 500; i++) {
        for (int j = 0; j < 4; j++)
            begin(&w[j], short_lived, p);
        for (int j = 0; j < 4; j++)
            join(&w[j]);
    }
    char c;
    SAY(recv(p[1], &c, 1, MSG_DONTWAIT));
}

static void first_call(void *arg)
{
    pthread_barrier_t *together = arg;
    pthread_barrier_wait(together);
    int p[2];
    char c = 0;
    tcp_pair(p);
    MUST(send(p[0], "x", 1, 0));
    MUST(recv(p[1], &c, 1, 0));
    if (c != 'x')
        say("BROKEN");
}

SCENARIO(first_calls_at_once)
{
    pthread_barrier_t together;
    static struct worker w[8];
    pthread_barrier_init(&together, NULL, 8);
    for (int i = 0; i < 8; i++)
        begin(&w[i], first_call, &together);
    for (int i = 0; i < 8; i++)
        join(&w[i]);
}

/* --- signals to the process, while threads sleep on connections again and again --- */
static _Atomic int elsewhere, over, played[6], *handled;

static void note_thread(int signal)
{
    (void)signal;
    if (gettid() != getpid())
        elsewhere++;
}

static void play(void *arg)
{
    int *end = arg;
    char c = 'x';
    if (end[1] % 2)
        MUST(send(end[0], &c, 1, 0));
    while (!over && recv(end[0], &c, 1, 0) == 1 && send(end[0], &c, 1, MSG_NOSIGNAL) == 1)
        played[end[1]]++;
}

/* The kernel gives them to the main thread, whatever others do: it may sit in pause(2), waiting for them. */
SCENARIO(signals_for_the_main_thread)
{
    struct worker workers[6];
    int ends[6][2];
    handled = mmap(NULL, sizeof *handled, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    handle(SIGUSR1, note_thread, 0);
    for (int i = 0; i < 3; i++) {
        int p[2];
        tcp_pair(p);
        for (int side = 0; side < 2; side++) {
            ends[2 * i + side][0] = p[side];
            ends[2 * i + side][1] = 2 * i + side;
        }
    }
    for (int i = 0; i < 6; i++)
        begin(&workers[i], play, ends[i]);
    for (int i = 0; i < 6; i++) /* a thread that starts changes its mask */
        while (played[i] < 100)
            nap_ms(1);
    int pid = (int)MUST(fork());
    if (pid == 0) {
        while (*handled == 0) /* a fork under way may keep signals off its thread */
            usleep(100);
        for (int i = 0; i < 400; i++) {
            int before = *handled;
            kill(getppid(), SIGUSR1);
            usleep(1000);
            for (int turns = 0; *handled == before && turns < 200; turns++)
                usleep(100); /* while the main thread is about this one, the kernel sends the next one elsewhere */
        }
        _exit(0);
    }
    int status, turns = 0;
    *handled = 1;
    while (waitpid(pid, &status, 0) != pid && turns < 1000)
        *handled = ++turns + 1;
    SAY(turns > 10);
    SAY(elsewhere);
    over = 1;
    for (int i = 0; i < 6; i++)
        shutdown(ends[i][0], SHUT_RDWR);
    for (int i = 0; i < 6; i++)
        join(&workers[i]);
}
