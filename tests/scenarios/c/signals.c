/* Signals: EINTR and restarting, handlers that use the same sockets, jumps out of a blocked call, masks. */
#include "scenario.h"

static _Atomic int count;
static int handler_fd = -1;
static sigjmp_buf jump;

static void on_signal(int signal)
{
    (void)signal;
    count++;
}

static void on_signal_write(int signal)
{
    (void)signal;
    count++;
    if (handler_fd >= 0)
        (void)!write(handler_fd, "from the handler", 16);
}

static void on_signal_jump(int signal)
{
    (void)signal;
    count++;
    siglongjmp(jump, 1);
}

/* Signals a thread once it sleeps in the kernel; then, if asked, gives it what it waits for. */
struct alarm_clock {
    pthread_t target;
    int tid, then_send, then_dial;
};

static void ring(void *arg)
{
    struct alarm_clock *a = arg;
    await_sleep(a->tid);
    pthread_kill(a->target, SIGUSR1);
    if (a->then_send >= 0 || a->then_dial) {
        for (int i = 0; i < 10000 && !count; i++)
            nap_ms(1);
        await_sleep(a->tid);
        if (a->then_dial)
            dialled(AF_INET, a->then_dial);
        else
            send(a->then_send, "late", 4, 0);
    }
}

#define INTERRUPTED(send_fd, dial_port, ...)                                                                           \
    do {                                                                                                               \
        struct worker w_;                                                                                              \
        struct alarm_clock a_ = {pthread_self(), gettid(), send_fd, dial_port};                                        \
        count = 0;                                                                                                     \
        begin(&w_, ring, &a_);                                                                                         \
        SAY(__VA_ARGS__);                                                                                              \
        join(&w_);                                                                                                     \
        SAY(count);                                                                                                    \
    } while (0)

static void every_blocking_call(int flags)
{
    int p[2], u[2], l = listening(AF_INET, 4), restart = (flags & SA_RESTART) != 0;
    char buf[8], rest[8];
    handle(SIGUSR1, on_signal, flags);
    tcp_pair(p);
    udp_pair(u);
    struct iovec iov[2] = {{buf, 2}, {rest, 2}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    int send_fd = restart ? p[0] : -1;
    INTERRUPTED(send_fd, 0, recv(p[1], buf, 8, 0));
    INTERRUPTED(send_fd, 0, read(p[1], buf, 8));
    INTERRUPTED(send_fd, 0, recvfrom(p[1], buf, 8, 0, NULL, NULL));
    INTERRUPTED(send_fd, 0, readv(p[1], iov, 2));
    INTERRUPTED(send_fd, 0, recvmsg(p[1], &m, 0));
    INTERRUPTED(send_fd, 0, recv(p[1], buf, 8, MSG_PEEK));
    if (restart)
        SAY(recv(p[1], buf, 8, 0));
    INTERRUPTED(restart ? u[0] : -1, 0, recv(u[1], buf, 8, 0));
    INTERRUPTED(-1, restart ? port_of(l) : 0, accept(l, NULL, NULL));
    INTERRUPTED(-1, restart ? port_of(l) : 0, accept4(l, NULL, NULL, SOCK_CLOEXEC));
    /* with a timeout of its own a call is never restarted (signal(7)) */
    struct timeval t = {10, 0};
    SAY(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    INTERRUPTED(-1, 0, recv(p[1], buf, 8, 0));
    /* and those that wait for readiness never are */
    struct pollfd one = {p[1], POLLIN, 0};
    INTERRUPTED(-1, 0, poll(&one, 1, 20000));
    INTERRUPTED(-1, 0, poll(&one, 1, -1));
    INTERRUPTED(-1, 0, ppoll(&one, 1, NULL, NULL));
    fd_set r;
    FD_ZERO(&r);
    FD_SET(p[1], &r);
    t = (struct timeval){20, 0};
    INTERRUPTED(-1, 0, select(p[1] + 1, &r, NULL, NULL, &t));
    INTERRUPTED(-1, 0, pselect(p[1] + 1, &r, NULL, NULL, NULL, NULL));
    int ep = (int)MUST(epoll_create1(0));
    struct epoll_event e = {EPOLLIN, {.fd = p[1]}};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
    INTERRUPTED(-1, 0, epoll_wait(ep, &e, 1, 20000));
    INTERRUPTED(-1, 0, epoll_wait(ep, &e, 1, -1));
    INTERRUPTED(-1, 0, epoll_pwait(ep, &e, 1, -1, NULL));
    INTERRUPTED(-1, 0, epoll_pwait2(ep, &e, 1, NULL, NULL));
    SAY(send(p[0], "end", 3, 0));
    SAY(recv(p[1], buf, 8, 0));
}

SCENARIO(interrupted)
{
    every_blocking_call(0);
}

SCENARIO(restarted)
{
    every_blocking_call(SA_RESTART);
}

SCENARIO(interrupted_send)
{
    int p[2];
    static char big[8 << 20];
    handle(SIGUSR1, on_signal, 0);
    tcp_pair(p);
    struct worker w;
    struct alarm_clock a = {pthread_self(), gettid(), -1, 0};
    begin(&w, ring, &a);
    ssize_t n = send(p[0], big, sizeof big, 0);
    join(&w);
    CHECK(n > 0 && n < (ssize_t)sizeof big); /* a short count */
    ssize_t sent = n;
    for (int full = 0; full < 100; full++) { /* an acknowledgement that is late makes room once more */
        ssize_t more = send(p[0], big, sizeof big, MSG_DONTWAIT);
        if (more > 0)
            sent += more, full = 0;
        nap_ms(1);
    }
    count = 0;
    begin(&w, ring, &a);
    SAY(send(p[0], big, sizeof big, 0)); /* nothing at all could be sent */
    join(&w);
    SAY(shutdown(p[0], SHUT_WR));
    size_t got = 0;
    for (ssize_t r; (r = recv(p[1], big, sizeof big, 0)) > 0;)
        got += (size_t)r;
    CHECK((ssize_t)got == sent);
}

/* A full backlog makes connect wait; taking one connection lets it in at its next SYN, a second later. */
static void make_room(void *listener)
{
    for (int i = 0; i < 10000 && !count; i++)
        nap_ms(1);
    MUST(accept((int)(intptr_t)listener, NULL, NULL));
}

SCENARIO(interrupted_connect)
{
    for (int restart = 0; restart < 2; restart++) {
        int l = listening(AF_INET, 0), filler = dialled(AF_INET, port_of(l));
        handle(SIGUSR1, on_signal, restart ? SA_RESTART : 0);
        struct name a = loopback(AF_INET, port_of(l));
        int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
        struct worker w;
        count = 0;
        if (restart)
            begin(&w, make_room, (void *)(intptr_t)l);
        INTERRUPTED(-1, 0, connect(fd, &a.any, a.len));
        nonblocking(fd, true);
        SAY(connect(fd, &a.any, a.len));
        if (restart)
            join(&w);
        close(filler);
        close(fd);
        close(l);
    }
}

SCENARIO(wait_all_interrupted)
{
    int p[2];
    char buf[8];
    handle(SIGUSR1, on_signal, 0);
    tcp_pair(p);
    SAY(send(p[0], "abc", 3, 0));
    await_bytes(p[1], 3);
    INTERRUPTED(-1, 0, recv(p[1], buf, 8, MSG_WAITALL));
    show("short", buf, 3);
}

/* The handler writes to the peer of the very call it interrupts, so the restarted call finds its own answer. */
SCENARIO(handler_writes_to_a_socket)
{
    int p[2];
    char buf[32];
    handle(SIGUSR1, on_signal_write, SA_RESTART);
    tcp_pair(p);
    handler_fd = p[0];
    for (int i = 0; i < 20; i++) {
        struct worker w;
        struct alarm_clock a = {pthread_self(), gettid(), -1, 0};
        begin(&w, ring, &a);
        ssize_t n = recv(p[1], buf, sizeof buf, 0);
        join(&w);
        if (n != 16 || memcmp(buf, "from the handler", 16) != 0)
            say("BROKEN %zd %s", n, name_of(errno));
    }
    /* and to the same socket on which its thread sleeps */
    handler_fd = p[1];
    INTERRUPTED(p[0], 0, recv(p[1], buf, sizeof buf, 0));
    show("late", buf, 4);
    show("by the handler", buf, SAY(recv(p[0], buf, sizeof buf, 0)));
}

SCENARIO(jumps_out_of_recv)
{
    int p[2];
    char buf[16];
    handle(SIGUSR1, on_signal_jump, SA_NODEFER);
    tcp_pair(p);
    static _Atomic int done, right;
    for (int i = 0; i < 100; i++) {
        static struct worker w;
        static struct alarm_clock a;
        a = (struct alarm_clock){pthread_self(), gettid(), -1, 0};
        begin(&w, ring, &a);
        if (sigsetjmp(jump, 1) == 0) {
            recv(p[1], buf, sizeof buf, 0);
            say("BROKEN: recv came back");
        }
        join(&w);
        done++;
        right += send(p[0], &i, sizeof i, 0) == sizeof i;
        int got = -1;
        right += recv(p[1], &got, sizeof got, MSG_WAITALL) == sizeof got && got == i;
    }
    SAY(done);
    SAY(right);
    SAY(close(p[0]));
    SAY(recv(p[1], buf, sizeof buf, 0));
}

SCENARIO(jumps_out_of_poll_and_accept)
{
    int p[2], l = listening(AF_INET, 4), ep = (int)MUST(epoll_create1(0));
    handle(SIGUSR1, on_signal_jump, SA_NODEFER);
    tcp_pair(p);
    struct epoll_event e = {EPOLLIN, {0}};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
    static _Atomic int done;
    for (int i = 0; i < 30; i++) {
        static struct worker w;
        static struct alarm_clock a;
        a = (struct alarm_clock){pthread_self(), gettid(), -1, 0};
        begin(&w, ring, &a);
        if (sigsetjmp(jump, 1) == 0) {
            struct pollfd one = {p[1], POLLIN, 0};
            if (i % 3 == 0)
                poll(&one, 1, -1);
            else if (i % 3 == 1)
                accept(l, NULL, NULL);
            else
                epoll_wait(ep, &e, 1, -1);
            say("BROKEN: the call came back");
        }
        join(&w);
        done++;
    }
    SAY(done);
    SAY(send(p[0], "x", 1, 0));
    SAY(epoll_wait(ep, &e, 1, 1000));
    int c = dialled(AF_INET, port_of(l));
    SAY(accept(l, NULL, NULL) > c);
}

SCENARIO(masks)
{
    int p[2], ep = (int)SAY(epoll_create1(0));
    handle(SIGUSR1, on_signal, 0);
    tcp_pair(p);
    struct epoll_event e = {EPOLLIN, {0}};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
    sigset_t usr1, none, old;
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    SAY(pthread_sigmask(SIG_BLOCK, &usr1, &old));
    struct pollfd one = {p[1], POLLIN, 0};
    fd_set r;
    FD_ZERO(&r);
    FD_SET(p[1], &r);
    struct timespec t = {10, 0}, brief = {0, 20000000};
    for (int i = 0; i < 4; i++) {
        count = 0;
        raise(SIGUSR1); /* pending: delivered only under the call's own mask */
        if (i == 0)
            SAY(ppoll(&one, 1, &t, &none));
        else if (i == 1)
            SAY(pselect(p[1] + 1, &r, NULL, NULL, &t, &none));
        else if (i == 2)
            SAY(epoll_pwait(ep, &e, 1, 10000, &none));
        else
            SAY(epoll_pwait2(ep, &e, 1, &t, &none));
        SAY(count);
        raise(SIGUSR1);
        if (i == 0)
            SAY(ppoll(&one, 1, &brief, NULL));
        else if (i == 1)
            SAY(pselect(0, NULL, NULL, NULL, &brief, &usr1));
        else if (i == 2)
            SAY(epoll_pwait(ep, &e, 1, 20, &usr1));
        else
            SAY(epoll_pwait2(ep, &e, 1, &brief, NULL));
        SAY(count);
        sigset_t pending;
        sigpending(&pending);
        SAY(sigismember(&pending, SIGUSR1));
        SAY(ppoll(NULL, 0, &t, &none));
        pthread_sigmask(SIG_SETMASK, NULL, &pending);
        SAY(sigismember(&pending, SIGUSR1)); /* the mask is back */
    }
}

/* SIGIO through F_SETOWN / O_ASYNC. */
static _Atomic int signals_of_io;
static void on_io(int signal)
{
    (void)signal;
    signals_of_io++;
}

SCENARIO(asynchronous_notice)
{
    int p[2];
    char c;
    handle(SIGIO, on_io, SA_RESTART);
    tcp_pair(p);
    SAY(fcntl(p[1], F_SETOWN, getpid()));
    SAY(fcntl(p[1], F_GETOWN) == getpid());
    SAY(fcntl(p[1], F_SETFL, O_ASYNC | O_NONBLOCK));
    SAY(send(p[0], "x", 1, 0));
    for (int i = 0; i < 5000 && !signals_of_io; i++)
        nap_ms(1);
    CHECK(signals_of_io > 0);
    SAY(recv(p[1], &c, 1, 0));
}

SCENARIO(signal_storm)
{
    int p[2];
    handle(SIGUSR1, on_signal, SA_RESTART);
    tcp_pair(p);
    static char out[100000], in[100000];
    fill(out, sizeof out, 0, 4);
    int pid = (int)MUST(fork()), parent = getppid();
    (void)parent;
    if (pid == 0) {
        for (int i = 0; i < 2000; i++) {
            kill(getppid(), SIGUSR1);
            if (i % 50 == 0)
                nap_ms(1);
        }
        _exit(0);
    }
    int wrong = 0;
    for (int round = 0; round < 100; round++) {
        struct pollfd one = {p[1], POLLIN, 0};
        size_t n = 1 + (size_t)(round * 997 % 60000);
        wrong += !send_all(p[0], out, n);
        while (poll(&one, 1, 5000) < 0 && errno == EINTR)
            ;
        wrong += !recv_all(p[1], in, n) || memcmp(in, out, n) != 0;
    }
    SAY(wrong);
    reap(pid);
    CHECK(count > 0);
}
