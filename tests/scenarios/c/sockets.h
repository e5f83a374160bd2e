/* Bytes that can be checked, loopback addresses, connected pairs. Included by scenario.h. */
#ifndef SOCKETS_H
#define SOCKETS_H

/* --- bytes --- */
static MAYBE unsigned char pattern(uint64_t i, unsigned seed)
{
    uint64_t x = (i + seed * 7919ull) * 0x9E3779B97F4A7C15ull;
    return (unsigned char)(x >> 56);
}

static MAYBE void fill(void *buf, size_t n, uint64_t at, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)buf)[i] = pattern(at + i, seed);
}

static MAYBE bool matches(const void *buf, size_t n, uint64_t at, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char *)buf)[i] != pattern(at + i, seed))
            return false;
    return true;
}

static MAYBE bool send_all(int fd, const void *buf, size_t n)
{
    for (const char *p = buf; n;) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        p += r;
        n -= (size_t)r;
    }
    return true;
}

static MAYBE bool recv_all(int fd, void *buf, size_t n)
{
    for (char *p = buf; n;) {
        ssize_t r = recv(fd, p, n, 0);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        p += r;
        n -= (size_t)r;
    }
    return true;
}

/* A server of one connection, and its client. */
static MAYBE void echo_until_end(int fd)
{
    char buf[4096];
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
        if (!send_all(fd, buf, (size_t)n))
            break;
}

static MAYBE int echoes(int fd, const char *text)
{
    char buf[64] = "";
    size_t n = strlen(text);
    return send_all(fd, text, n) && recv_all(fd, buf, n) && memcmp(buf, text, n) == 0;
}

/* --- addresses and connections; all on the loopback, port 0 --- */
struct name {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_storage room;
    };
    socklen_t len;
};

static MAYBE struct name loopback(int family, int port)
{
    struct name a = {.len = family == AF_INET6 ? sizeof a.six : sizeof a.four};
    if (family == AF_INET6) {
        a.six.sin6_family = AF_INET6;
        a.six.sin6_port = htons((uint16_t)port);
        a.six.sin6_addr = in6addr_loopback;
    } else {
        a.four.sin_family = AF_INET;
        a.four.sin_port = htons((uint16_t)port);
        a.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    return a;
}

static MAYBE int port_of(int fd)
{
    struct name a = {.len = sizeof a.room};
    MUST(getsockname(fd, &a.any, &a.len));
    return ntohs(a.any.sa_family == AF_INET6 ? a.six.sin6_port : a.four.sin_port);
}

static MAYBE int bound(int family, int type)
{
    int fd = (int)MUST(socket(family, type, 0));
    struct name a = loopback(family, 0);
    MUST(bind(fd, &a.any, a.len));
    return fd;
}

static MAYBE int listening(int family, int backlog)
{
    int fd = bound(family, SOCK_STREAM);
    MUST(listen(fd, backlog));
    return fd;
}

static MAYBE int dialled(int family, int port)
{
    int fd = (int)MUST(socket(family, SOCK_STREAM, 0));
    struct name a = loopback(family, port);
    MUST(connect(fd, &a.any, a.len));
    return fd;
}

/* Bytes back and forth, so that a libOS that upgrades connections in use has done so. */
static MAYBE void warm_up(const int pair[2])
{
    char c = 'w';
    for (int i = 0; i < 64; i++)
        for (int side = 0; side < 2; side++) {
            MUST(send(pair[side], &c, 1, 0));
            MUST(recv(pair[!side], &c, 1, 0));
        }
}

/* pair[0] connected, pair[1] was accepted; the listener is gone. */
static MAYBE void tcp_pair_of(int family, int pair[2])
{
    int l = listening(family, 8);
    pair[0] = dialled(family, port_of(l));
    pair[1] = (int)MUST(accept(l, NULL, NULL));
    MUST(close(l));
    if (getenv("SCENARIO_WARM"))
        warm_up(pair);
}
#define tcp_pair(pair) tcp_pair_of(AF_INET, pair)

/* Two UDP sockets, each connected to the other. */
static MAYBE void udp_pair_of(int family, int pair[2])
{
    for (int i = 0; i < 2; i++)
        pair[i] = bound(family, SOCK_DGRAM);
    for (int i = 0; i < 2; i++) {
        struct name a = loopback(family, port_of(pair[!i]));
        MUST(connect(pair[i], &a.any, a.len));
    }
}
#define udp_pair(pair) udp_pair_of(AF_INET, pair)

static MAYBE void nonblocking(int fd, bool yes)
{
    int flags = (int)MUST(fcntl(fd, F_GETFL));
    MUST(fcntl(fd, F_SETFL, yes ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

static MAYBE int readable(int fd, int ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, ms);
}

/* What has been sent on the loopback has arrived when the receiver's queue holds it. */
static MAYBE void await_bytes(int fd, int n)
{
    int have = 0;
    for (int turns = 0; turns < 5000 && have < n; turns++) {
        MUST(ioctl(fd, FIONREAD, &have));
        if (have < n)
            nap_ms(1);
    }
    CHECK(have >= n);
}

static MAYBE int pending_error(int fd)
{
    int e = -1;
    socklen_t len = sizeof e;
    MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len));
    return e;
}

#endif
