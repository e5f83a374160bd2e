/* TCP: bytes back and forth, partial reads, half close, reset, refusal. */
#include "scenario.h"

static void echo_server(void *listener)
{
    int fd = (int)MUST(accept((int)(intptr_t)listener, NULL, NULL));
    char buf[4096];
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
        if (!send_all(fd, buf, (size_t)n))
            break;
    close(fd);
}

static void echo_of(int family)
{
    int l = listening(family, 1), fd = (int)SAY(socket(family, SOCK_STREAM, 0)); /* a waiting accept has taken a number */
    struct worker server;
    begin(&server, echo_server, (void *)(intptr_t)l);
    struct name a = loopback(family, port_of(l));
    SAY(connect(fd, &a.any, a.len));
    static char out[70000], in[70000];
    int sizes[] = {1, 2, 64, 1400, 5000, 70000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fill(out, (size_t)sizes[i], 0, i);
        CHECK(send_all(fd, out, (size_t)sizes[i]));
        CHECK(recv_all(fd, in, (size_t)sizes[i]));
        CHECK(matches(in, (size_t)sizes[i], 0, i));
    }
    SAY(shutdown(fd, SHUT_WR));
    SAY(recv(fd, in, sizeof in, 0));
    join(&server);
    SAY(close(fd));
    SAY(close(l));
}

SCENARIO(echo_blocking)
{
    echo_of(AF_INET);
}

SCENARIO(echo_blocking_v6)
{
    echo_of(AF_INET6);
}

SCENARIO(echo_nonblocking)
{
    int l = (int)SAY(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    struct name a = loopback(AF_INET, 0);
    SAY(bind(l, &a.any, a.len));
    SAY(listen(l, 5));
    SAY(accept(l, NULL, NULL));
    SAY(fcntl(l, F_GETFL) & O_NONBLOCK);
    SAY(fcntl(l, F_GETFD) & FD_CLOEXEC);
    a = loopback(AF_INET, port_of(l));
    int c = (int)SAY(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP));
    SAY(connect(c, &a.any, a.len));
    struct pollfd p = {c, POLLOUT, 0};
    SAY(poll(&p, 1, 5000));
    SAY(p.revents);
    SAY(pending_error(c));
    SAY(connect(c, &a.any, a.len));
    SAY(connect(c, &a.any, a.len));
    CHECK(readable(l, 5000) == 1);
    int s = (int)SAY(accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    SAY(fcntl(s, F_GETFL) & O_NONBLOCK);
    SAY(fcntl(s, F_GETFD) & FD_CLOEXEC);
    char buf[64];
    SAY(recv(s, buf, sizeof buf, 0));
    SAY(read(s, buf, sizeof buf));
    SAY(send(c, "hello", 5, 0));
    CHECK(readable(s, 5000) == 1);
    SAY(recv(s, buf, sizeof buf, 0));
    show("got", buf, 5);
    SAY(write(s, buf, 5));
    CHECK(readable(c, 5000) == 1);
    SAY(read(c, buf, sizeof buf));
    SAY(read(c, buf, sizeof buf));
    SAY(accept4(l, NULL, NULL, 0x40000000));
    SAY(close(c));
    CHECK(readable(s, 5000) == 1);
    SAY(read(s, buf, sizeof buf));
    SAY(close(s));
    SAY(close(l));
    SAY(close(l));
}

SCENARIO(partial_reads)
{
    int p[2], n = 0;
    tcp_pair(p);
    SAY(send(p[0], "0123456789", 10, 0));
    await_bytes(p[1], 10);
    char buf[16];
    for (int want = 3; want < 6; want++) {
        long r = SAY(recv(p[1], buf, want, 0));
        show("part", buf, r);
        SAY(ioctl(p[1], FIONREAD, &n));
        SAY(n);
    }
    SAY(send(p[0], "ab", 2, 0));
    await_bytes(p[1], 2);
    SAY(read(p[1], buf, 1));
    SAY(read(p[1], buf, 16));
    SAY(recv(p[1], buf, 16, MSG_DONTWAIT));
}

struct bulk {
    int fd;
    size_t total;
    unsigned seed;
    bool fine;
};

static void bulk_send(void *arg)
{
    struct bulk *b = arg;
    static __thread char buf[100000];
    size_t at = 0;
    unsigned random = b->seed;
    b->fine = true;
    while (at < b->total && b->fine) {
        size_t n = 1 + rand_r(&random) % sizeof buf;
        n = n > b->total - at ? b->total - at : n;
        fill(buf, n, at, b->seed);
        b->fine = send_all(b->fd, buf, n);
        at += n;
    }
    shutdown(b->fd, SHUT_WR);
}

static void bulk_receive(void *arg)
{
    struct bulk *b = arg;
    static __thread char buf[100000];
    size_t at = 0;
    unsigned random = b->seed * 3;
    b->fine = true;
    for (;;) {
        ssize_t n = recv(b->fd, buf, 1 + rand_r(&random) % sizeof buf, 0);
        if (n <= 0)
            break;
        b->fine &= matches(buf, (size_t)n, at, b->seed);
        at += (size_t)n;
    }
    b->fine &= at == b->total;
}

SCENARIO(bulk_both_ways)
{
    int p[2];
    tcp_pair(p);
    size_t total = 4 << 20;
    struct bulk b[4] = {{p[0], total, 1, 0}, {p[1], total, 1, 0}, {p[1], total, 2, 0}, {p[0], total, 2, 0}};
    struct worker w[4];
    for (int i = 0; i < 4; i++)
        begin(&w[i], i % 2 ? bulk_receive : bulk_send, &b[i]);
    for (int i = 0; i < 4; i++)
        join(&w[i]);
    for (int i = 0; i < 4; i++)
        CHECK(b[i].fine);
}

SCENARIO(fill_and_drain)
{
    int p[2];
    tcp_pair(p);
    nonblocking(p[0], true);
    nonblocking(p[1], true);
    static char buf[65536];
    for (int round = 0; round < 2; round++) {
        size_t sent = 0, got = 0;
        ssize_t n;
        bool right = true;
        struct pollfd out = {p[0], POLLOUT, 0};
        do {
            while (fill(buf, sizeof buf, sent, 5), (n = send(p[0], buf, sizeof buf, 0)) > 0)
                sent += (size_t)n;
            right &= n == -1 && errno == EAGAIN;
        } while (poll(&out, 1, 300) == 1); /* buffers may grow meanwhile */
        CHECK(sent > 65536);
        SAY(poll(&out, 1, 0));
        while (got < sent && readable(p[1], 5000) == 1)
            while ((n = recv(p[1], buf, sizeof buf, 0)) > 0) {
                right &= matches(buf, (size_t)n, got, 5);
                got += (size_t)n;
            }
        CHECK(got == sent && right);
        SAY(poll(&out, 1, 5000));
        SAY(out.revents);
    }
}

SCENARIO(zero_length)
{
    int p[2];
    tcp_pair(p);
    char buf[8];
    SAY(send(p[0], buf, 0, 0));
    SAY(send(p[0], NULL, 0, 0));
    SAY(write(p[0], buf, 0));
    SAY(sendto(p[0], "", 0, 0, NULL, 0));
    SAY(read(p[1], buf, 0));
    SAY(recv(p[1], buf, 0, MSG_DONTWAIT));
    SAY(recv(p[1], buf, 8, MSG_DONTWAIT));
    SAY(send(p[0], "x", 1, 0));
    await_bytes(p[1], 1);
    SAY(read(p[1], buf, 0));
    SAY(recv(p[1], buf, 0, 0));
    SAY(recv(p[1], buf, 8, 0));
    SAY(close(p[0]));
    SAY(recv(p[1], buf, 8, 0));
    SAY(recv(p[1], buf, 0, 0));
    SAY(read(p[1], buf, 0));
}

SCENARIO(half_close)
{
    int p[2];
    char buf[64];
    tcp_pair(p);
    SAY(send(p[0], "request", 7, 0));
    SAY(shutdown(p[0], SHUT_WR));
    SAY(send(p[0], "more", 4, MSG_NOSIGNAL));
    SAY(recv(p[1], buf, 64, MSG_WAITALL));
    SAY(recv(p[1], buf, 64, 0));
    struct pollfd w = {p[1], POLLIN | POLLOUT | POLLRDHUP, 0};
    SAY(poll(&w, 1, 1000));
    SAY(w.revents);
    for (int i = 0; i < 3; i++)
        SAY(send(p[1], "answer", 6, 0));
    SAY(recv(p[0], buf, 18, MSG_WAITALL));
    show("answer", buf, 18);
    SAY(shutdown(p[1], SHUT_WR));
    SAY(recv(p[0], buf, 64, 0));
    w = (struct pollfd){p[0], POLLIN | POLLOUT | POLLRDHUP, 0};
    SAY(poll(&w, 1, 1000));
    SAY(w.revents);
    SAY(shutdown(p[0], SHUT_RDWR));
    SAY(shutdown(p[0], 7));
}

SCENARIO(shutdown_read)
{
    int p[2];
    char buf[64];
    tcp_pair(p);
    SAY(send(p[0], "before", 6, 0));
    await_bytes(p[1], 6);
    SAY(shutdown(p[1], SHUT_RD));
    SAY(recv(p[1], buf, 64, 0));
    SAY(recv(p[1], buf, 64, 0));
    SAY(send(p[1], "still", 5, 0));
    SAY(recv(p[0], buf, 64, 0));
    SAY(shutdown(-1, SHUT_RD));
    SAY(shutdown(1, SHUT_RD));
    int fresh = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(shutdown(fresh, SHUT_WR));
}

SCENARIO(reset_by_linger)
{
    int p[2];
    char buf[64];
    tcp_pair(p);
    struct linger now = {1, 0};
    SAY(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    SAY(send(p[0], "lost?", 5, 0));
    await_bytes(p[1], 5);
    SAY(close(p[0]));
    struct pollfd w = {p[1], POLLIN | POLLRDHUP, 0};
    SAY(poll(&w, 1, 1000));
    SAY(w.revents);
    SAY(recv(p[1], buf, 64, 0));
    SAY(recv(p[1], buf, 64, 0));
    SAY(send(p[1], "x", 1, MSG_NOSIGNAL));
    SAY(pending_error(p[1]));
    SAY(recv(p[1], buf, 64, 0));
    struct name a = {.len = sizeof a.room};
    SAY(getpeername(p[1], &a.any, &a.len));
}

SCENARIO(reset_seen_by_so_error)
{
    int p[2];
    tcp_pair(p);
    struct linger now = {1, 0};
    SAY(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    SAY(close(p[0]));
    struct pollfd w = {p[1], POLLIN | POLLOUT, 0};
    SAY(poll(&w, 1, 1000));
    SAY(w.revents);
    SAY(pending_error(p[1]) == ECONNRESET);
    SAY(pending_error(p[1]));
    char c;
    SAY(recv(p[1], &c, 1, 0));
    SAY(send(p[1], "x", 1, MSG_NOSIGNAL));
}

SCENARIO(unread_close_resets_peer)
{
    int p[2];
    char buf[8];
    tcp_pair(p);
    SAY(send(p[0], "never read", 10, 0));
    await_bytes(p[1], 10);
    SAY(close(p[1]));
    struct pollfd w = {p[0], POLLIN, 0};
    SAY(poll(&w, 1, 1000));
    SAY(recv(p[0], buf, 8, 0));
    SAY(recv(p[0], buf, 8, 0));
}

SCENARIO(sigpipe_kills)
{
    for (int quiet = 0; quiet < 3; quiet++) {
        int pid = fork();
        if (pid == 0) {
            int p[2];
            tcp_pair(p);
            close(p[1]);
            CHECK(readable(p[0], 1000) == 1);
            SAY(send(p[0], "first", 5, MSG_NOSIGNAL));
            struct pollfd w = {p[0], 0, 0};
            CHECK(poll(&w, 1, 1000) == 1);
            if (quiet == 0)
                SAY(send(p[0], "second", 6, MSG_NOSIGNAL));
            if (quiet == 1)
                signal(SIGPIPE, SIG_IGN);
            SAY(write(p[0], "third", 5));
            SAY(write(p[0], "fourth", 6));
            _exit(0);
        }
        reap(pid);
    }
}

static volatile sig_atomic_t pipes;
static void on_pipe(int signal)
{
    (void)signal;
    pipes++;
}

SCENARIO(sigpipe_handled)
{
    handle(SIGPIPE, on_pipe, 0);
    int p[2];
    tcp_pair(p);
    SAY(shutdown(p[0], SHUT_WR));
    struct iovec iov = {"xyz", 3};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    SAY(write(p[0], "x", 1));
    SAY(pipes);
    SAY(send(p[0], "x", 1, 0));
    SAY(pipes);
    SAY(writev(p[0], &iov, 1));
    SAY(pipes);
    SAY(sendmsg(p[0], &m, 0));
    SAY(pipes);
    SAY(sendto(p[0], "x", 1, 0, NULL, 0));
    SAY(pipes);
    SAY(sendmsg(p[0], &m, MSG_NOSIGNAL));
    SAY(send(p[0], "x", 1, MSG_NOSIGNAL));
    SAY(pipes);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    SAY(sendfile(p[0], file, NULL, 100));
    SAY(pipes);
}
