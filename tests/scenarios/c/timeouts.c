/* SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT. */
#include "scenario.h"

SCENARIO(receive_timeout)
{
    int p[2];
    char c;
    tcp_pair(p);
    struct timeval t = {0, 50000}, got;
    socklen_t len = sizeof got;
    SAY(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    SAY(getsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &got, &len));
    CHECK(got.tv_sec == 0 && got.tv_usec >= 50000 && got.tv_usec <= 60000);
    for (int i = 0; i < 4; i++) {
        int64_t start = now_ms();
        struct iovec iov = {&c, 1};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        if (i == 0)
            SAY(recv(p[1], &c, 1, 0));
        else if (i == 1)
            SAY(read(p[1], &c, 1));
        else if (i == 2)
            SAY(recvmsg(p[1], &m, 0));
        else
            SAY(recv(p[1], &c, 1, MSG_PEEK));
        CHECK(now_ms() - start >= 49 && now_ms() - start < 5000);
    }
    SAY(send(p[0], "ab", 2, 0));
    await_bytes(p[1], 2);
    char four[4];
    SAY(recv(p[1], four, 4, MSG_WAITALL));
    t = (struct timeval){0, 0};
    SAY(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    t = (struct timeval){0, 2000000};
    SAY(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    SAY(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, 4));
}

SCENARIO(send_timeout)
{
    int p[2], small = 4096;
    tcp_pair(p);
    SAY(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    SAY(setsockopt(p[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
    struct timeval t = {0, 60000};
    SAY(setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
    static char big[1 << 20], in[1 << 20];
    fill(big, sizeof big, 0, 3);
    size_t sent = 0;
    ssize_t n;
    while ((n = send(p[0], big + sent, sizeof big - sent, 0)) > 0 && sent + (size_t)n < sizeof big)
        sent += (size_t)n;
    SAY(n == -1 ? errno == EAGAIN : n);
    CHECK(sent > 0 && sent < sizeof big);
    SAY(close(p[0]));
    size_t got = 0;
    while ((n = recv(p[1], in + got, sizeof in - got, 0)) > 0)
        got += (size_t)n;
    CHECK(got == sent && matches(in, got, 0, 3));
}

static void send_one_by_one(void *arg)
{
    int fd = *(int *)arg;
    for (int i = 0; i < 4; i++) {
        send(fd, "1234" + i, 1, 0);
        nap_ms(10);
    }
}

SCENARIO(low_water_mark)
{
    int p[2], four = 4, one = 1;
    char buf[8];
    tcp_pair(p);
    SAY(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &four, sizeof four));
    SAY(setsockopt(p[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    struct worker w;
    begin(&w, send_one_by_one, &p[0]);
    SAY(readable(p[1], 5000));
    show("at once", buf, SAY(recv(p[1], buf, 8, 0)));
    join(&w);
    SAY(send(p[0], "ab", 2, 0));
    SAY(readable(p[1], 30));
    SAY(recv(p[1], buf, 8, MSG_DONTWAIT));
    SAY(send(p[0], "cd", 2, 0));
    SAY(shutdown(p[0], SHUT_WR));
    SAY(recv(p[1], buf, 8, 0));
}
