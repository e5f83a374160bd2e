/* Names and the ways into a connection: bind, listen, accept, connect and their errors. */
#include "scenario.h"

/* A port on which nobody listens. */
static int closed_port(int family)
{
    int fd = bound(family, SOCK_STREAM), port = port_of(fd);
    MUST(close(fd));
    return port;
}

SCENARIO(refused_blocking)
{
    for (int i = 0; i < 2; i++) {
        int family = i ? AF_INET6 : AF_INET;
        struct name a = loopback(family, closed_port(family));
        int fd = (int)SAY(socket(family, SOCK_STREAM, 0));
        SAY(connect(fd, &a.any, a.len));
        SAY(pending_error(fd));
        char c;
        SAY(recv(fd, &c, 1, 0));
        SAY(send(fd, "x", 1, MSG_NOSIGNAL));
        SAY(connect(fd, &a.any, a.len));
        SAY(getpeername(fd, &a.any, &a.len));
        SAY(close(fd));
    }
}

SCENARIO(refused_nonblocking)
{
    struct name a = loopback(AF_INET, closed_port(AF_INET));
    int fd = (int)SAY(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SAY(connect(fd, &a.any, a.len));
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    SAY(poll(&p, 1, 1000));
    SAY(p.revents);
    SAY(pending_error(fd) == ECONNREFUSED);
    SAY(pending_error(fd));
    SAY(connect(fd, &a.any, a.len));
    CHECK(poll(&p, 1, 1000) == 1);
    SAY(connect(fd, &a.any, a.len));
    SAY(close(fd));
}

SCENARIO(connect_then_reuse)
{
    int l = listening(AF_INET, 4);
    struct name bad = loopback(AF_INET, closed_port(AF_INET)), good = loopback(AF_INET, port_of(l));
    int fd = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(connect(fd, &bad.any, bad.len));
    SAY(connect(fd, &good.any, good.len));
    SAY(send(fd, "after", 5, 0));
    int s = (int)SAY(accept(l, NULL, NULL));
    char buf[8];
    SAY(recv(s, buf, 5, MSG_WAITALL));
    SAY(connect(fd, &good.any, good.len));
    struct sockaddr dissolve = {.sa_family = AF_UNSPEC};
    SAY(connect(fd, &dissolve, sizeof dissolve));
    SAY(send(fd, "x", 1, MSG_NOSIGNAL));
    SAY(recv(s, buf, 5, 0));
    SAY(connect(fd, &good.any, good.len));
    int again = (int)SAY(accept(l, NULL, NULL));
    SAY(send(fd, "twice", 5, 0));
    SAY(recv(again, buf, 5, MSG_WAITALL));
    show("got", buf, 5);
}

SCENARIO(connect_errors)
{
    struct name a = loopback(AF_INET, 1), six = loopback(AF_INET6, 1);
    int fd = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(connect(fd, &six.any, six.len));
    SAY(connect(fd, &a.any, 3));
    SAY(connect(fd, &a.any, 0));
    SAY(connect(fd, &a.any, (socklen_t)-1));
    SAY(connect(fd, nowhere, sizeof a.four));
    SAY(connect(fd, null, sizeof a.four));
    SAY(connect(-1, &a.any, a.len));
    SAY(connect(1, &a.any, a.len));
    SAY(connect(1 << 30, &a.any, a.len));
    int l = listening(AF_INET, 1);
    SAY(connect(l, &a.any, a.len));
    char c;
    SAY(recv(fd, &c, 1, 0));
    SAY(send(fd, "x", 1, MSG_NOSIGNAL));
    SAY(accept(fd, NULL, NULL));
    SAY(recv(l, &c, 1, 0));
    SAY(send(l, "x", 1, MSG_NOSIGNAL));
}

SCENARIO(connect_to_self)
{
    int fd = bound(AF_INET, SOCK_STREAM);
    struct name a = loopback(AF_INET, port_of(fd));
    SAY(connect(fd, &a.any, a.len));
    SAY(send(fd, "mirror", 6, 0));
    char buf[8];
    SAY(recv(fd, buf, 6, MSG_WAITALL));
    show("got", buf, 6);
    SAY(shutdown(fd, SHUT_WR));
    SAY(recv(fd, buf, 8, 0));
}

SCENARIO(bind_errors)
{
    int l = listening(AF_INET, 1), port = port_of(l);
    struct name taken = loopback(AF_INET, port), any = loopback(AF_INET, 0), six = loopback(AF_INET6, 0);
    int fd = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(bind(fd, &taken.any, taken.len));
    SAY(bind(fd, &six.any, six.len));
    SAY(bind(fd, &any.any, 4));
    SAY(bind(fd, nowhere, sizeof any.four));
    any.four.sin_addr.s_addr = inet_addr("192.0.2.1");
    SAY(bind(fd, &any.any, any.len));
    any = loopback(AF_INET, 0);
    SAY(bind(fd, &any.any, any.len));
    SAY(bind(fd, &any.any, any.len));
    SAY(bind(-1, &any.any, any.len));
    SAY(bind(0, &any.any, any.len));
    int one = 1, other = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SAY(bind(other, &taken.any, taken.len));
}

SCENARIO(reuse_port)
{
    int one = 1, a = (int)SAY(socket(AF_INET, SOCK_STREAM, 0)), b = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
    SAY(setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
    struct name n = loopback(AF_INET, 0);
    SAY(bind(a, &n.any, n.len));
    n = loopback(AF_INET, port_of(a));
    SAY(bind(b, &n.any, n.len));
    SAY(listen(a, 64));
    SAY(listen(b, 64));
    nonblocking(a, true);
    nonblocking(b, true);
    int fds[20], accepted = 0;
    for (int i = 0; i < 20; i++)
        fds[i] = dialled(AF_INET, port_of(a));
    for (int i = 0; i < 20; i++) {
        struct pollfd w[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
        if (poll(w, 2, 1000) < 1)
            break;
        accepted += accept(w[0].revents ? a : b, NULL, NULL) >= 0;
    }
    SAY(accepted);
    SAY(close(fds[0]));
}

SCENARIO(listen_and_accept)
{
    int l = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(accept(l, NULL, NULL));
    SAY(listen(l, 3)); /* picks a port by itself */
    CHECK(port_of(l) > 0);
    SAY(listen(l, 5));
    SAY(listen(-1, 1));
    SAY(listen(0, 1));
    int u = (int)SAY(socket(AF_INET, SOCK_DGRAM, 0));
    SAY(listen(u, 1));
    SAY(accept(u, NULL, NULL));
    SAY(accept(-1, NULL, NULL));
    SAY(accept(0, NULL, NULL));
    int c = dialled(AF_INET, port_of(l));
    struct name a = {.len = 7};
    memset(&a.room, 0xee, sizeof a.room);
    int s = (int)SAY(accept(l, &a.any, &a.len));
    SAY(a.len);
    SAY(a.four.sin_family);
    CHECK(ntohs(a.four.sin_port) == port_of(c));
    SAY(((unsigned char *)&a)[7]);
    int c2 = dialled(AF_INET, port_of(l));
    socklen_t negative = (socklen_t)-1;
    SAY(accept(l, &a.any, &negative));
    SAY(fcntl(l, F_SETFL, O_NONBLOCK));
    SAY(accept(l, NULL, NULL));
    SAY(fcntl(l, F_SETFL, 0));
    int c3 = dialled(AF_INET, port_of(l));
    a.len = sizeof a.room;
    int s3 = (int)SAY(accept(l, &a.any, &a.len));
    SAY(a.len);
    CHECK(a.four.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    SAY(fcntl(s3, F_GETFL) & O_NONBLOCK);
    SAY(close(c));
    SAY(close(c2));
    SAY(close(c3));
    SAY(close(s));
}

SCENARIO(accepted_socket_inherits)
{
    int l = listening(AF_INET, 4), one = 1, value = 0;
    socklen_t len = sizeof value;
    SAY(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
    SAY(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    struct timeval t = {0, 50000};
    SAY(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    SAY(accept(l, NULL, NULL)); /* the timeout holds for accept too */
    int c = dialled(AF_INET, port_of(l));
    SAY(fcntl(l, F_SETFL, O_NONBLOCK));
    CHECK(readable(l, 1000) == 1);
    int s = (int)SAY(accept(l, NULL, NULL));
    SAY(fcntl(s, F_GETFL) & O_NONBLOCK); /* not inherited on Linux */
    SAY(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &value, &len));
    SAY(value);
    SAY(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, &len));
    SAY(value);
    char b;
    SAY(recv(s, &b, 1, 0)); /* SO_RCVTIMEO is inherited */
    SAY(close(c));
}

SCENARIO(names)
{
    int p[2];
    for (int i = 0; i < 2; i++) {
        tcp_pair_of(i ? AF_INET6 : AF_INET, p);
        struct name mine = {.len = sizeof mine.room}, theirs = {.len = sizeof theirs.room};
        SAY(getsockname(p[0], &mine.any, &mine.len));
        SAY(getpeername(p[1], &theirs.any, &theirs.len));
        SAY(mine.len);
        SAY(theirs.len);
        CHECK(memcmp(&mine.any, &theirs.any, i ? 24 : 8) == 0);
        mine.len = 5;
        SAY(getsockname(p[0], &mine.any, &mine.len));
        SAY(mine.len);
        mine.len = 0;
        SAY(getpeername(p[0], &mine.any, &mine.len));
        SAY(mine.len);
        mine.len = (socklen_t)-1;
        SAY(getsockname(p[0], &mine.any, &mine.len));
        SAY(getsockname(p[0], &mine.any, null));
        mine.len = 16;
        SAY(getsockname(p[0], null, &mine.len));
        SAY(getpeername(p[0], nowhere, &mine.len));
        SAY(close(p[0]));
        SAY(close(p[1]));
    }
    struct name a = {.len = sizeof a.room};
    int fd = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(getsockname(fd, &a.any, &a.len));
    SAY(a.len);
    SAY(a.four.sin_port);
    SAY(getpeername(fd, &a.any, &a.len));
    SAY(getsockname(-1, &a.any, &a.len));
    SAY(getpeername(0, &a.any, &a.len));
}

SCENARIO(dual_stack)
{
    int l = (int)SAY(socket(AF_INET6, SOCK_STREAM, 0)), only = -1;
    socklen_t len = sizeof only;
    SAY(getsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len));
    only = 0;
    SAY(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only));
    struct name a = {.len = sizeof a.six};
    a.six.sin6_family = AF_INET6;
    SAY(bind(l, &a.any, a.len));
    SAY(listen(l, 4));
    for (int i = 0; i < 2; i++) {
        int c = dialled(i ? AF_INET6 : AF_INET, port_of(l));
        a.len = sizeof a.room;
        int s = (int)SAY(accept(l, &a.any, &a.len));
        char text[64];
        say("from %s", inet_ntop(AF_INET6, &a.six.sin6_addr, text, sizeof text));
        SAY(send(c, "hi", 2, 0));
        SAY(recv(s, text, 2, MSG_WAITALL));
        SAY(close(s));
        SAY(close(c));
    }
    int strict = (int)SAY(socket(AF_INET6, SOCK_STREAM, 0));
    only = 1;
    SAY(setsockopt(strict, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only));
    a = loopback(AF_INET6, 0);
    SAY(bind(strict, &a.any, a.len));
    SAY(setsockopt(strict, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only));
    SAY(listen(strict, 1));
    int c = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    a = loopback(AF_INET, port_of(strict));
    SAY(connect(c, &a.any, a.len));
    a.four.sin_addr.s_addr = htonl(INADDR_ANY); /* 0.0.0.0 means this host */
    a.four.sin_port = htons((uint16_t)port_of(l));
    SAY(connect(c, &a.any, a.len));
}

SCENARIO(socket_errors)
{
    SAY(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SAY(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    SAY(socket(AF_INET, 99, 0));
    SAY(socket(-1, SOCK_STREAM, 0));
    SAY(socket(AF_MAX + 1, SOCK_STREAM, 0));
    SAY(socket(AF_INET, SOCK_STREAM | 0x10000000, 0));
    SAY(socket(AF_INET, SOCK_SEQPACKET, IPPROTO_TCP));
    SAY(socket(AF_INET, SOCK_STREAM, 1000));
    int fd[2];
    SAY(socketpair(AF_INET, SOCK_STREAM, 0, fd));
    SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, null));
    struct rlimit full = {8, 8};
    SAY(setrlimit(RLIMIT_NOFILE, &full));
    for (int i = 0; i < 8; i++)
        SAY(socket(AF_INET, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0));
    struct name a = loopback(AF_INET, 0);
    SAY(bind(4, &a.any, a.len));
    SAY(listen(4, 1));
    SAY(close(7));
    a = loopback(AF_INET, port_of(4));
    int c = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(connect(c, &a.any, a.len));
    SAY(accept(4, NULL, NULL));
    SAY(close(6));
    SAY(accept(4, NULL, NULL));
    SAY(close(6));
}

SCENARIO(backlog_full_blocks)
{
    int l = listening(AF_INET, 0);
    struct name a = loopback(AF_INET, port_of(l));
    int ok = 0, fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        connect(fds[i], &a.any, a.len);
    }
    struct pollfd w = {fds[0], POLLOUT, 0};
    SAY(poll(&w, 1, 1000));
    for (int i = 0; i < 8; i++) {
        w = (struct pollfd){fds[i], POLLOUT, 0};
        ok += poll(&w, 1, i ? 30 : 1000) == 1;
    }
    CHECK(ok >= 1 && ok < 8);
    struct timeval t = {0, 60000};
    int slow = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(setsockopt(slow, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
    SAY(connect(slow, &a.any, a.len)); /* nobody accepts: EINPROGRESS when SO_SNDTIMEO has passed */
    SAY(connect(slow, &a.any, a.len));
}
