/* Ends of life: exit, _exit, abort, kill, with other threads in the middle of something; what peers see. */
#include "scenario.h"

static void block_in_recv(void *arg)
{
    char c;
    (void)!recv(*(int *)arg, &c, 1, 0);
}

static void send_for_ever(void *arg)
{
    static char zeros[4096];
    while (send(*(int *)arg, zeros, sizeof zeros, MSG_NOSIGNAL) > 0)
        ;
}

static void receive_for_ever(void *arg)
{
    char buf[4096];
    while (recv(*(int *)arg, buf, sizeof buf, 0) > 0)
        ;
}

/* What the peer of a process that ends sees: everything sent, then the end or a reset. */
static void peer_sees(int fd, int pid)
{
    char buf[64];
    show("peer got", buf, SAY(recv(fd, buf, 64, MSG_WAITALL)));
    reap(pid);
    CHECK(readable(fd, 5000) == 1);
}

enum { RETURN, EXIT, QUICK, QUICKER, SOONEST, RAW, ABORT, KILL, SEGV, WAYS };
static const char *ways[] = {"exit", "exit with a thread in recv", "_exit", "quick_exit", "_Exit", "exit_group", "abort", "kill", "a fault"};

SCENARIO(ways_to_end)
{
    for (int way = 0; way < WAYS; way++) {
        int p[2], q[2];
        tcp_pair(p);
        tcp_pair(q);
        say("by %s", ways[way]);
        int pid = (int)MUST(fork());
        if (pid == 0) {
            struct rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            close(p[0]);
            struct worker w;
            if (way == EXIT) {
                begin(&w, block_in_recv, &q[1]);
                await_sleep(w.tid);
            }
            MUST(send(p[1], "last words", 10, 0));
            switch (way) {
            case RETURN: exit(4); break;
            case EXIT: exit(5); break;
            case QUICK: _exit(6); break;
            case QUICKER: quick_exit(8); break;
            case SOONEST: _Exit(9); break;
            case RAW: syscall(SYS_exit_group, 7); break;
            case ABORT: abort(); break;
            case KILL: kill(getpid(), SIGKILL); break;
            case SEGV: *(volatile int *)nowhere = 1; break;
            }
        }
        close(p[1]);
        peer_sees(p[0], pid);
        char c;
        SAY(recv(p[0], &c, 1, 0));
        close(p[0]);
        close(q[0]);
        close(q[1]);
    }
}

SCENARIO(exit_beside_spinning_threads)
{
    for (int i = 0; i < 10; i++) {
        int pid = (int)MUST(fork());
        if (pid == 0) {
            static int p[2], q[2];
            static struct worker w[3];
            tcp_pair(p);
            tcp_pair(q);
            begin(&w[0], send_for_ever, &p[0]);
            begin(&w[1], receive_for_ever, &p[1]);
            begin(&w[2], block_in_recv, &q[0]);
            await_sleep(w[2].tid);
            exit(i);
        }
        reap(pid);
    }
}

static void at_end(void)
{
    int p[2];
    char buf[8];
    tcp_pair(p); /* sockets still work in an exit handler */
    say("in the exit handler: %zd", send(p[0], "bye", 3, 0));
    say("and back: %zd", recv(p[1], buf, 8, 0));
    say("poll %d", readable(p[1], 10));
}

__attribute__((destructor)) static void in_destructor(void)
{
    if (scenario_argc > 1 && strcmp(scenario_argv[1], "handlers_at_exit") == 0) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        say("in a destructor: %d", fd >= 0 && close(fd) == 0);
    }
}

SCENARIO(handlers_at_exit)
{
    int p[2];
    tcp_pair(p);
    SAY(atexit(at_end));
    SAY(send(p[0], "x", 1, 0));
}

static void exit_from_here(void *arg)
{
    (void)arg;
    exit(11);
}

SCENARIO(exit_in_a_thread)
{
    int pid = (int)MUST(fork());
    if (pid == 0) {
        static int p[2];
        tcp_pair(p);
        struct worker w;
        begin(&w, exit_from_here, NULL);
        char c;
        (void)!recv(p[1], &c, 1, 0);
    }
    reap(pid);
}

static pthread_t first;
static void *main_is_gone(void *arg)
{
    int *p = arg;
    char buf[8];
    MUST(-pthread_join(first, NULL));
    SAY(send(p[0], "on", 2, 0));
    SAY(recv(p[1], buf, 8, 0));
    _exit(12);
}

SCENARIO(main_thread_ends_first)
{
    int pid = (int)MUST(fork());
    if (pid == 0) {
        static int p[2];
        tcp_pair(p);
        pthread_t t;
        first = pthread_self();
        pthread_create(&t, NULL, main_is_gone, p);
        pthread_exit(NULL);
    }
    reap(pid);
}

SCENARIO(peer_is_killed)
{
    int l = listening(AF_INET, 4), port = port_of(l);
    for (int i = 0; i < 5; i++) {
        int pid = (int)MUST(fork());
        if (pid == 0) {
            int fd = dialled(AF_INET, port);
            MUST(send(fd, "ready", 5, 0));
            for (;;) {
                char c;
                (void)!recv(fd, &c, 1, 0);
            }
        }
        int fd = (int)MUST(accept(l, NULL, NULL));
        char buf[8];
        SAY(recv(fd, buf, 5, MSG_WAITALL));
        MUST(kill(pid, SIGKILL));
        SAY(recv(fd, buf, 8, 0)); /* wakes a blocked reader */
        reap(pid);
        close(fd);
    }
}

SCENARIO(send_then_exit)
{
    int l = listening(AF_INET, 4), port = port_of(l);
    static char out[300000], in[300000];
    fill(out, sizeof out, 0, 6);
    int pid = (int)MUST(fork());
    if (pid == 0) {
        int fd = dialled(AF_INET, port);
        bool fine = send_all(fd, out, sizeof out);
        _exit(fine ? 0 : 1); /* nothing more is called: the last bytes must arrive */
    }
    int fd = (int)MUST(accept(l, NULL, NULL));
    CHECK(recv_all(fd, in, sizeof in));
    CHECK(memcmp(in, out, sizeof in) == 0);
    SAY(recv(fd, in, 1, 0));
    reap(pid);
}

SCENARIO(send_then_sleep)
{
    int l = listening(AF_INET, 4), port = port_of(l), pid = (int)MUST(fork());
    if (pid == 0) {
        int fd = dialled(AF_INET, port);
        MUST(send(fd, "then nothing", 12, 0));
        syscall(SYS_pause);
    }
    int fd = (int)MUST(accept(l, NULL, NULL));
    char buf[16];
    show("got", buf, SAY(recv(fd, buf, 12, MSG_WAITALL)));
    MUST(kill(pid, SIGTERM));
    reap(pid);
}

SCENARIO(idle_uses_no_processor)
{
    int p[2], ep = (int)MUST(epoll_create1(0));
    tcp_pair(p);
    struct epoll_event e = {EPOLLIN, {0}};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
    struct timeval t = {0, 200000};
    MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    struct rusage before, after;
    MUST(getrusage(RUSAGE_SELF, &before));
    char c;
    SAY(recv(p[1], &c, 1, 0));
    SAY(epoll_wait(ep, &e, 1, 200));
    SAY(readable(p[1], 200));
    MUST(getrusage(RUSAGE_SELF, &after));
    int64_t used = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000 +
                   (after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1000;
    CHECK(used < 100);
}

/* How the sender waits for room. */
enum { BLOCKED, POLLED, BY_SET, TRIED };

static long send_waiting(int fd, const char *buf, size_t n, int way)
{
    int ep = (int)MUST(epoll_create1(0));
    struct epoll_event e = {EPOLLOUT, {.u64 = 1}};
    struct pollfd p = {fd, POLLOUT, 0};
    size_t done = 0;
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    while (done < n) {
        ssize_t r = send(fd, buf + done, n - done, way == BLOCKED ? 0 : MSG_DONTWAIT);
        if (r > 0)
            done += (size_t)r;
        else if (way == POLLED ? poll(&p, 1, 3000) != 1 : way == BY_SET ? epoll_wait(ep, &e, 1, 3000) != 1 : way == BLOCKED)
            break;
        else if (way == TRIED)
            nap_ms(1);
    }
    MUST(close(ep));
    return (long)done;
}

SCENARIO(a_megabyte_before_its_reader_begins)
{
    static char buf[1 << 20], got[1 << 20];
    fill(buf, sizeof buf, 0, 7);
    for (int way = BLOCKED; way <= TRIED; way++) {
        int p[2];
        tcp_pair(p);
        CHECK(send_waiting(p[0], buf, sizeof buf, way) == sizeof buf);
        CHECK(recv_all(p[1], got, sizeof got) && memcmp(buf, got, sizeof got) == 0);
        SAY(send(p[1], "x", 1, 0));
        SAY(recv(p[0], got, 1, 0));
        close(p[0]);
        close(p[1]);
    }
}
