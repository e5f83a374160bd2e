/* Socket options: a table of what can be asked and set, and the ways to ask wrongly. */
#include "scenario.h"

struct option {
    const char *title;
    int level, name, value; /* value < 0: only asked */
};
#define OPTION(level, name, value) {#level " " #name, level, name, value}

static const struct option table[] = {
    OPTION(SOL_SOCKET, SO_REUSEADDR, 1), OPTION(SOL_SOCKET, SO_REUSEPORT, 1), OPTION(SOL_SOCKET, SO_KEEPALIVE, 1),
    OPTION(SOL_SOCKET, SO_KEEPALIVE, 0), OPTION(SOL_SOCKET, SO_BROADCAST, 1), OPTION(SOL_SOCKET, SO_OOBINLINE, 1),
    OPTION(SOL_SOCKET, SO_DONTROUTE, 1), OPTION(SOL_SOCKET, SO_SNDBUF, 10000), OPTION(SOL_SOCKET, SO_RCVBUF, 10000),
    OPTION(SOL_SOCKET, SO_RCVLOWAT, 7), OPTION(SOL_SOCKET, SO_SNDLOWAT, 7), OPTION(SOL_SOCKET, SO_TYPE, -1),
    OPTION(SOL_SOCKET, SO_TYPE, 3), OPTION(SOL_SOCKET, SO_DOMAIN, -1), OPTION(SOL_SOCKET, SO_DOMAIN, 3),
    OPTION(SOL_SOCKET, SO_PROTOCOL, -1), OPTION(SOL_SOCKET, SO_PROTOCOL, 3), OPTION(SOL_SOCKET, SO_ACCEPTCONN, -1),
    OPTION(SOL_SOCKET, SO_ACCEPTCONN, 1), OPTION(SOL_SOCKET, SO_ERROR, -1), OPTION(SOL_SOCKET, SO_ERROR, 5),
    OPTION(SOL_SOCKET, SO_PRIORITY, 3), OPTION(SOL_SOCKET, SO_TIMESTAMP, 1), OPTION(SOL_SOCKET, SO_ZEROCOPY, 1),
    OPTION(SOL_SOCKET, SO_BUSY_POLL, 50), OPTION(SOL_SOCKET, SO_INCOMING_CPU, 1), OPTION(SOL_SOCKET, 9999, 1),
    OPTION(IPPROTO_TCP, TCP_NODELAY, 1), OPTION(IPPROTO_TCP, TCP_NODELAY, 0), OPTION(IPPROTO_TCP, TCP_CORK, 1),
    OPTION(IPPROTO_TCP, TCP_QUICKACK, 0), OPTION(IPPROTO_TCP, TCP_KEEPIDLE, 77), OPTION(IPPROTO_TCP, TCP_KEEPINTVL, 11),
    OPTION(IPPROTO_TCP, TCP_KEEPCNT, 5), OPTION(IPPROTO_TCP, TCP_KEEPCNT, 1000), OPTION(IPPROTO_TCP, TCP_KEEPIDLE, 0),
    OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000), OPTION(IPPROTO_TCP, TCP_MAXSEG, 1000),
    OPTION(IPPROTO_TCP, TCP_MAXSEG, 1), OPTION(IPPROTO_TCP, TCP_SYNCNT, 3), OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT, 3),
    OPTION(IPPROTO_TCP, TCP_LINGER2, 5), OPTION(IPPROTO_TCP, TCP_WINDOW_CLAMP, 60000),
    OPTION(IPPROTO_TCP, TCP_FASTOPEN, 5), OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 9000), OPTION(IPPROTO_TCP, 9999, 1),
    OPTION(IPPROTO_IP, IP_TOS, 16), OPTION(IPPROTO_IP, IP_TTL, 9), OPTION(IPPROTO_IP, IP_TTL, 256),
    OPTION(IPPROTO_IP, IP_MULTICAST_TTL, 4), OPTION(IPPROTO_IP, IP_MULTICAST_LOOP, 0), OPTION(IPPROTO_IP, IP_PKTINFO, 1),
    OPTION(IPPROTO_IP, IP_RECVERR, 1), OPTION(IPPROTO_IPV6, IPV6_V6ONLY, 1), OPTION(IPPROTO_IPV6, IPV6_TCLASS, 8),
    OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5), OPTION(IPPROTO_UDP, 10, 1), OPTION(12345, 1, 1), OPTION(-1, 1, 1),
};

static void ask(int fd, const struct option *o)
{
    int value = -77;
    socklen_t len = sizeof value;
    if (getsockopt(fd, o->level, o->name, &value, &len) < 0)
        say("%s: ask %s", o->title, name_of(errno));
    else
        say("%s: is %d, length %d", o->title, value, (int)len);
}

static void walk(int fd)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct option *o = &table[i];
        if (o->value >= 0) {
            int r = setsockopt(fd, o->level, o->name, &o->value, sizeof o->value);
            say("%s: set %d: %s", o->title, o->value, r ? name_of(errno) : "done");
        }
        ask(fd, o);
    }
}

SCENARIO(table_of_tcp)
{
    walk((int)SAY(socket(AF_INET, SOCK_STREAM, 0)));
}

SCENARIO(table_of_tcp_v6)
{
    walk((int)SAY(socket(AF_INET6, SOCK_STREAM, 0)));
}

SCENARIO(table_of_udp)
{
    walk((int)SAY(socket(AF_INET, SOCK_DGRAM, 0)));
}

SCENARIO(table_of_listener)
{
    walk(listening(AF_INET, 3));
}

SCENARIO(table_of_connection)
{
    int p[2];
    tcp_pair(p);
    walk(p[0]);
    char c;
    SAY(send(p[1], "x", 1, 0)); /* SO_RCVLOWAT is 7 */
    SAY(recv(p[0], &c, 1, 0));
}

SCENARIO(wrong_lengths)
{
    int p[2], value = 1;
    socklen_t len;
    tcp_pair(p);
    for (socklen_t n = 0; n < 5; n++) {
        value = 1;
        SAY(setsockopt(p[0], SOL_SOCKET, SO_KEEPALIVE, &value, n));
        SAY(setsockopt(p[0], IPPROTO_TCP, TCP_NODELAY, &value, n));
        SAY(setsockopt(p[0], IPPROTO_IP, IP_TOS, &value, n));
        value = -1;
        len = n;
        SAY(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &value, &len));
        say("length %d, value %x", (int)len, (unsigned)value);
        len = n;
        SAY(getsockopt(p[0], IPPROTO_TCP, TCP_NODELAY, &value, &len));
        say("length %d", (int)len);
    }
    char room[64];
    memset(room, 0x55, sizeof room);
    len = sizeof room;
    SAY(getsockopt(p[0], SOL_SOCKET, SO_TYPE, room, &len));
    SAY(len);
    SAY(room[4]);
    len = (socklen_t)-1;
    SAY(getsockopt(p[0], SOL_SOCKET, SO_TYPE, room, &len));
    SAY(setsockopt(p[0], SOL_SOCKET, SO_KEEPALIVE, &value, (socklen_t)-1));
    SAY(setsockopt(p[0], SOL_SOCKET, SO_KEEPALIVE, null, sizeof value));
    SAY(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &value, null));
    len = sizeof value;
    SAY(getsockopt(-1, SOL_SOCKET, SO_TYPE, &value, &len));
    SAY(getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &len));
    SAY(setsockopt(1 << 30, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
    struct linger l = {1, 7}, got = {0, 0};
    SAY(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, sizeof l));
    len = sizeof got;
    SAY(getsockopt(p[0], SOL_SOCKET, SO_LINGER, &got, &len));
    say("linger %d %d, length %d", got.l_onoff, got.l_linger, (int)len);
    SAY(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, 4));
}

SCENARIO(times)
{
    int fd = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    static const struct timeval tries[] = {{0, 0}, {1, 0}, {3, 500000}, {0, -1}, {-1, 0}, {0, 1000000}, {1000000, 0}};
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
            int name = which ? SO_SNDTIMEO : SO_RCVTIMEO;
            struct timeval got = {9, 9};
            socklen_t len = sizeof got;
            SAY(setsockopt(fd, SOL_SOCKET, name, &tries[i], sizeof tries[i]));
            SAY(getsockopt(fd, SOL_SOCKET, name, &got, &len));
            say("%ld.%06ld length %d", (long)got.tv_sec, (long)got.tv_usec, (int)len);
        }
}

SCENARIO(tcp_info)
{
    int p[2];
    tcp_pair(p);
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    SAY(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &len));
    CHECK(info.tcpi_state == TCP_ESTABLISHED && len >= 100);
    SAY(shutdown(p[0], SHUT_WR));
    char c;
    SAY(recv(p[1], &c, 1, 0));
    len = sizeof info;
    SAY(getsockopt(p[1], IPPROTO_TCP, TCP_INFO, &info, &len));
    SAY(info.tcpi_state == TCP_CLOSE_WAIT);
    char name[16] = "";
    len = sizeof name;
    SAY(setsockopt(p[0], IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    SAY(getsockopt(p[0], IPPROTO_TCP, TCP_CONGESTION, name, &len));
    show("congestion control", name, (long)strlen(name));
    SAY(setsockopt(p[0], IPPROTO_TCP, TCP_CONGESTION, "no such", 7));
}
