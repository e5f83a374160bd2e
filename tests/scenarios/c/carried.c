/* Connections of every kind of address in use, and what their calls promise beyond bytes: queues, time to linger, control
 * data, peeking for all, listeners that wait for data. */
#include "scenario.h"

static void exchange(const int p[2], int rounds)
{
    char out[300], in[300];
    int right = 0;
    for (int i = 0; i < rounds; i++)
        for (int side = 0; side < 2; side++) {
            fill(out, sizeof out, (uint64_t)i, (unsigned)side);
            right += send_all(p[side], out, sizeof out) && recv_all(p[!side], in, sizeof in) && memcmp(in, out, sizeof in) == 0;
        }
    SAY(right);
}

static void told_name(const char *what, int fd, bool peer)
{
    struct name a = {.len = sizeof a.room};
    char text[64] = "";
    MUST(peer ? getpeername(fd, &a.any, &a.len) : getsockname(fd, &a.any, &a.len));
    bool six = a.any.sa_family == AF_INET6;
    inet_ntop(a.any.sa_family, six ? (void *)&a.six.sin6_addr : (void *)&a.four.sin_addr, text, sizeof text);
    say("%s: %s, %d bytes", what, text, (int)a.len);
}

/* [::ffff:127.0.0.1] on one side, 127.0.0.1 on the other; other addresses of the loopback; 0.0.0.0, which means this host. */
SCENARIO(addresses_of_one_connection)
{
    static const char *to[] = {"127.0.0.1", "127.1.2.3", "0.0.0.0"}, *from[] = {"127.0.0.1", "127.9.9.9"};
    int zero = 0, l = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
    struct name any = {.len = sizeof any.six};
    any.six.sin6_family = AF_INET6;
    MUST(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero));
    MUST(bind(l, &any.any, any.len));
    MUST(listen(l, 4));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++) {
            int p[2] = {(int)MUST(socket(AF_INET, SOCK_STREAM, 0))};
            struct name mine = loopback(AF_INET, 0), theirs = loopback(AF_INET, port_of(l));
            mine.four.sin_addr.s_addr = inet_addr(from[j]);
            theirs.four.sin_addr.s_addr = inet_addr(to[i]);
            MUST(bind(p[0], &mine.any, mine.len));
            SAY(connect(p[0], &theirs.any, theirs.len));
            p[1] = (int)MUST(accept(l, NULL, NULL));
            exchange(p, 60);
            told_name("dialled from", p[0], false);
            told_name("dialled", p[0], true);
            told_name("accepted at", p[1], false);
            told_name("accepted from", p[1], true);
            MUST(close(p[0]));
            MUST(close(p[1]));
        }
    int p[2];
    tcp_pair_of(AF_INET6, p);
    exchange(p, 60);
    told_name("dialled", p[0], true);
    told_name("accepted from", p[1], true);
}

/* Simultaneous open of both ends, which are one (RFC 9293, 3.5), used as much as any other connection. */
SCENARIO(self_in_use)
{
    for (int way = 0; way < 2; way++) {
        int fd = bound(way ? AF_INET6 : AF_INET, SOCK_STREAM), right = 0;
        char buf[64];
        struct name a = loopback(way ? AF_INET6 : AF_INET, port_of(fd));
        MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
        nonblocking(fd, way);
        int r = connect(fd, &a.any, a.len);
        CHECK(r == 0 || errno == EINPROGRESS);
        struct pollfd one = {fd, POLLIN | POLLOUT, 0};
        SAY(poll(&one, 1, 1000));
        SAY(one.revents);
        for (int i = 0; i < 200; i++) {
            MUST(send(fd, &i, sizeof i, 0));
            int got = -1;
            right += readable(fd, 1000) == 1 && recv(fd, &got, sizeof got, 0) == sizeof got && got == i;
        }
        SAY(right);
        int ep = (int)MUST(epoll_create1(0));
        struct epoll_event e = {EPOLLIN, {0}};
        MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
        SAY(epoll_wait(ep, &e, 1, 0));
        SAY(send(fd, "mirror", 6, 0));
        SAY(epoll_wait(ep, &e, 1, 1000));
        show("got", buf, SAY(recv(fd, buf, 64, 0)));
        SAY(recv(fd, buf, 64, MSG_DONTWAIT));
        SAY(shutdown(fd, SHUT_WR));
        CHECK(readable(fd, 1000) == 1);
        SAY(recv(fd, buf, 64, 0));
        SAY(close(fd));
    }
}

/* TCP_DEFER_ACCEPT: there is nobody to accept before there is something to read. */
SCENARIO(deferred_accept)
{
    int l = listening(AF_INET, 4), seconds = 20, p[2];
    SAY(setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds));
    p[0] = dialled(AF_INET, port_of(l));
    SAY(readable(l, 50));
    nonblocking(l, true);
    SAY(accept(l, NULL, NULL));
    SAY(send(p[0], "first", 5, 0));
    SAY(readable(l, 5000));
    p[1] = (int)SAY(accept(l, NULL, NULL));
    char buf[8];
    show("at once", buf, SAY(recv(p[1], buf, 8, MSG_DONTWAIT)));
    exchange(p, 60);
}

/* What the other end has not taken yet (tcp(7), SIOCOUTQ): nothing, once it has it all. */
SCENARIO(queue_of_a_sender)
{
    int p[2], n = -1;
    static char buf[3000];
    tcp_pair(p);
    for (int i = 0; i < 3; i++) {
        MUST(send(p[0], buf, sizeof buf, 0));
        CHECK(recv_all(p[1], buf, sizeof buf));
        for (int turns = 0; turns < 5000; turns++) {
            MUST(ioctl(p[0], SIOCOUTQ, &n));
            if (!n)
                break;
            nap_ms(1);
        }
        SAY(n);
        MUST(ioctl(p[1], FIONREAD, &n));
        SAY(n);
    }
}

/* close waits for a reader that reads, and no longer than it was told to for one that doesn't (socket(7), SO_LINGER). */
SCENARIO(time_to_linger)
{
    int p[2];
    static char out[100000], in[100000];
    struct linger l = {1, 5};
    tcp_pair(p);
    SAY(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, sizeof l));
    fill(out, sizeof out, 0, 8);
    CHECK(send_all(p[0], out, sizeof out));
    int64_t start = now_ms();
    SAY(close(p[0]));
    CHECK(now_ms() - start < 4000);
    CHECK(recv_all(p[1], in, sizeof in) && matches(in, sizeof in, 0, 8));
    SAY(recv(p[1], in, 1, 0));
}

static void send_later(void *arg)
{
    int *fd = arg;
    nap_ms(50);
    MUST(send(fd[0], "d", 1, 0));
}

SCENARIO(peek_for_all)
{
    int p[2], fd[1];
    char buf[8] = "";
    tcp_pair(p);
    struct worker w;
    fd[0] = p[0];
    for (int by_message = 0; by_message < 2; by_message++) {
        struct iovec iov = {buf, 2};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        SAY(send(p[0], "c", 1, 0));
        await_bytes(p[1], 1);
        begin(&w, send_later, fd);
        if (by_message)
            SAY(recvmsg(p[1], &m, MSG_PEEK | MSG_WAITALL));
        else
            SAY(recv(p[1], buf, 2, MSG_PEEK | MSG_WAITALL));
        show("peeked", buf, 2);
        join(&w);
        show("read", buf, SAY(recv(p[1], buf, 2, MSG_WAITALL)));
        tcp_pair(p);
        fd[0] = p[0];
    }
    SAY(send(p[0], "cd", 2, 0));
    show("peeked", buf, SAY(recv(p[1], buf, 2, MSG_PEEK | MSG_WAITALL)));
    show("all", buf, SAY(recv(p[1], buf, 2, MSG_WAITALL)));
    SAY(send(p[0], "e", 1, 0));
    SAY(shutdown(p[0], SHUT_WR));
    show("to the end", buf, SAY(recv(p[1], buf, 8, MSG_WAITALL)));
    SAY(recv(p[1], buf, 8, MSG_PEEK | MSG_WAITALL));
}

/* Control data that a stream takes, and what it refuses. */
SCENARIO(control_data_of_a_stream)
{
    int p[2];
    char buf[8];
    union {
        struct cmsghdr align;
        char room[64];
    } control;
    struct iovec iov = {"xy", 2};
    static const struct {
        const char *what;
        int level, type;
        size_t length;
    } tries[] = {{"descriptors", SOL_SOCKET, SCM_RIGHTS, CMSG_LEN(4)}, {"credentials", SOL_SOCKET, SCM_CREDENTIALS, CMSG_LEN(12)},
                 {"unknown", SOL_SOCKET, 77, CMSG_LEN(4)}, {"another level", IPPROTO_IP, IP_TTL, CMSG_LEN(4)},
                 {"too short", SOL_SOCKET, SCM_RIGHTS, 3}, {"too long", SOL_SOCKET, SCM_RIGHTS, 500}};
    tcp_pair(p);
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        memset(&control, 0, sizeof control);
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(12)};
        *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = tries[i].length, .cmsg_level = tries[i].level, .cmsg_type = tries[i].type};
        say("%s", tries[i].what);
        if (SAY(sendmsg(p[0], &m, 0)) > 0)
            SAY(recv(p[1], buf, 2, MSG_WAITALL));
    }
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &control, .msg_namelen = (socklen_t)-1};
    SAY(sendmsg(p[0], &m, 0));
    SAY(send(p[0], "z", 1, 0));
    await_bytes(p[1], 1);
    iov = (struct iovec){buf, 8};
    SAY(recvmsg(p[1], &m, MSG_DONTWAIT));
    m = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = 1};
    SAY(recvmsg(p[1], &m, MSG_DONTWAIT));
    SAY(m.msg_controllen);
    SAY(m.msg_flags);
}
