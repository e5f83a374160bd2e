/* UDP, connected and not, IPv4 and IPv6. */
#include "scenario.h"

static void exchange(int family)
{
    int server = bound(family, SOCK_DGRAM), client = (int)SAY(socket(family, SOCK_DGRAM, 0));
    struct name to = loopback(family, port_of(server)), from = {.len = sizeof from.room};
    char buf[2000], out[1400];
    SAY(recvfrom(server, buf, 10, MSG_DONTWAIT, &from.any, &from.len));
    SAY(sendto(client, "question", 8, 0, &to.any, to.len));
    CHECK(port_of(client) > 0); /* bound by sending */
    show("server", buf, SAY(recvfrom(server, buf, sizeof buf, 0, &from.any, &from.len)));
    SAY(from.len);
    CHECK(ntohs(family == AF_INET6 ? from.six.sin6_port : from.four.sin_port) == port_of(client));
    fill(out, sizeof out, 0, 1);
    SAY(sendto(server, out, sizeof out, 0, &from.any, from.len));
    from.len = 6;
    SAY(recvfrom(client, buf, sizeof buf, 0, &from.any, &from.len));
    SAY(from.len);
    CHECK(matches(buf, sizeof out, 0, 1));
    SAY(send(client, "x", 1, 0));
    SAY(write(client, "x", 1));
    SAY(sendto(client, "x", 1, 0, &to.any, 4));
    SAY(sendto(client, "x", 1, 0, nowhere, to.len));
    SAY(getpeername(client, &to.any, &to.len));
    static char large[70000];
    SAY(sendto(client, large, 65508, 0, &to.any, family == AF_INET6 ? sizeof to.six : sizeof to.four));
    SAY(sendto(client, large, 70000, 0, &to.any, family == AF_INET6 ? sizeof to.six : sizeof to.four));
    SAY(sendto(client, large, 60000, 0, &to.any, family == AF_INET6 ? sizeof to.six : sizeof to.four));
    long got = 0;
    do
        got = recv(server, large, sizeof large, 0);
    while (got > 0 && got < 60000);
    SAY(got);
}

SCENARIO(unconnected)
{
    exchange(AF_INET);
}

SCENARIO(unconnected_v6)
{
    exchange(AF_INET6);
}

SCENARIO(connected)
{
    int p[2], n = -1;
    char buf[64];
    for (int i = 0; i < 2; i++) {
        udp_pair_of(i ? AF_INET6 : AF_INET, p);
        SAY(send(p[0], "one", 3, 0));
        SAY(write(p[0], "three", 5));
        SAY(ioctl(p[1], FIONREAD, &n));
        SAY(n);
        show("first", buf, SAY(read(p[1], buf, 64)));
        show("second", buf, SAY(recv(p[1], buf, 64, 0)));
        SAY(recv(p[1], buf, 64, MSG_DONTWAIT));
        int stranger = bound(i ? AF_INET6 : AF_INET, SOCK_DGRAM);
        struct name to = loopback(i ? AF_INET6 : AF_INET, port_of(p[1])), other = loopback(i ? AF_INET6 : AF_INET, port_of(stranger));
        SAY(sendto(stranger, "ignored", 7, 0, &to.any, to.len));
        SAY(readable(p[1], 20));
        SAY(sendto(p[0], "elsewhere", 9, 0, &other.any, other.len));
        show("stranger", buf, SAY(recv(stranger, buf, 64, 0)));
        struct sockaddr nobody = {.sa_family = AF_UNSPEC};
        SAY(connect(p[0], &nobody, sizeof nobody));
        SAY(send(p[0], "x", 1, 0));
        SAY(connect(p[0], &other.any, other.len));
        SAY(send(p[0], "again", 5, 0));
        show("stranger", buf, SAY(recv(stranger, buf, 64, 0)));
        SAY(close(stranger));
    }
}

SCENARIO(truncation)
{
    int p[2];
    char buf[8], control[8];
    udp_pair(p);
    struct iovec iov = {buf, 4};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    for (int i = 0; i < 4; i++)
        SAY(send(p[0], "abcdefghij", 10, 0));
    show("cut", buf, SAY(recv(p[1], buf, 4, 0)));
    SAY(recv(p[1], buf, 4, MSG_TRUNC));
    SAY(recvmsg(p[1], &m, 0));
    SAY(m.msg_flags == MSG_TRUNC);
    SAY(recvmsg(p[1], &m, MSG_PEEK | MSG_TRUNC));
    SAY(recv(p[1], NULL, 0, MSG_PEEK | MSG_TRUNC));
    SAY(recv(p[1], NULL, 0, 0));
    SAY(recv(p[1], buf, 8, MSG_DONTWAIT));
    int on = 1;
    SAY(setsockopt(p[1], IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
    SAY(send(p[0], "ab", 2, 0));
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    SAY(recvmsg(p[1], &m, 0));
    SAY(m.msg_flags == MSG_CTRUNC);
}

SCENARIO(empty_datagrams)
{
    int p[2];
    char buf[8];
    udp_pair(p);
    SAY(send(p[0], "", 0, 0));
    SAY(write(p[0], "", 0)); /* on a datagram socket that is a datagram too */
    SAY(send(p[0], "x", 1, 0));
    SAY(readable(p[1], 1000));
    SAY(read(p[1], buf, 0)); /* takes nothing */
    SAY(recv(p[1], buf, 8, 0));
    SAY(recv(p[1], buf, 8, 0));
    SAY(recv(p[1], buf, 8, 0));
    SAY(recv(p[1], buf, 8, MSG_DONTWAIT));
    struct msghdr none = {0};
    SAY(sendmsg(p[0], &none, 0));
    SAY(recvmsg(p[1], &none, 0));
}

SCENARIO(port_unreachable)
{
    int p[2];
    char c;
    udp_pair(p);
    SAY(close(p[1]));
    SAY(send(p[0], "x", 1, 0));
    struct pollfd w = {p[0], POLLIN, 0};
    SAY(poll(&w, 1, 1000));
    SAY(w.revents);
    SAY(recv(p[0], &c, 1, 0));
    SAY(recv(p[0], &c, 1, MSG_DONTWAIT));
    SAY(send(p[0], "x", 1, 0));
    SAY(poll(&w, 1, 1000));
    SAY(send(p[0], "x", 1, 0));
    SAY(send(p[0], "x", 1, 0));
    SAY(poll(&w, 1, 1000));
    SAY(pending_error(p[0]) == ECONNREFUSED);
    SAY(pending_error(p[0]));
    int fresh = bound(AF_INET, SOCK_DGRAM), gone = bound(AF_INET, SOCK_DGRAM);
    struct name to = loopback(AF_INET, port_of(gone));
    SAY(close(gone));
    SAY(sendto(fresh, "x", 1, 0, &to.any, to.len));
    SAY(readable(fresh, 20)); /* an unconnected socket is not told */
    int on = 1;
    SAY(setsockopt(fresh, IPPROTO_IP, IP_RECVERR, &on, sizeof on));
    SAY(sendto(fresh, "x", 1, 0, &to.any, to.len));
    SAY(readable(fresh, 1000));
    char buf[64], control[512];
    struct iovec iov = {buf, 64};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    SAY(recvmsg(fresh, &m, MSG_ERRQUEUE));
    SAY(m.msg_flags == MSG_ERRQUEUE);
    SAY(CMSG_FIRSTHDR(&m)->cmsg_level == IPPROTO_IP && CMSG_FIRSTHDR(&m)->cmsg_type == IP_RECVERR);
}

SCENARIO(control_messages)
{
    int p[2], on = 1;
    char buf[64], control[256];
    udp_pair(p);
    SAY(setsockopt(p[1], IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
    SAY(setsockopt(p[1], IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
    SAY(setsockopt(p[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
    struct iovec iov = {"control", 7}, in = {buf, 64};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } ttl = {0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ttl, .msg_controllen = sizeof ttl};
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &(int){33}, sizeof(int));
    SAY(sendmsg(p[0], &m, 0));
    struct name from;
    struct msghdr r = {.msg_name = &from.any, .msg_namelen = sizeof from.room, .msg_iov = &in, .msg_iovlen = 1,
                       .msg_control = control, .msg_controllen = sizeof control};
    show("payload", buf, SAY(recvmsg(p[1], &r, 0)));
    SAY(r.msg_namelen);
    SAY(r.msg_flags);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&r); c; c = CMSG_NXTHDR(&r, c)) {
        say("control level %d type %d length %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
            SAY(*(int *)CMSG_DATA(c));
    }
    CMSG_FIRSTHDR(&m)->cmsg_len = 1;
    SAY(sendmsg(p[0], &m, 0));
}

SCENARIO(many_datagrams)
{
    int p[2];
    udp_pair(p);
    char rooms[8][16];
    struct iovec out[8], in[8];
    struct mmsghdr m[8] = {0}, r[8] = {0};
    struct name names[8];
    static const char *texts[] = {"a", "bb", "ccc", "dddd", "", "ffffff", "ggggggg", "hhhhhhhh"};
    for (int i = 0; i < 8; i++) {
        out[i] = (struct iovec){(void *)texts[i], strlen(texts[i])};
        in[i] = (struct iovec){rooms[i], 5};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1};
        r[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1, .msg_name = &names[i].any,
                                       .msg_namelen = sizeof names[i].room};
    }
    SAY(sendmmsg(p[0], m, 8, 0));
    SAY(recvmmsg(p[1], r, 3, 0, NULL));
    SAY(recvmmsg(p[1], r + 3, 5, MSG_WAITFORONE, NULL));
    for (int i = 0; i < 8; i++) {
        say("message %d: %u of %u, flags %d, name %d", i, r[i].msg_len, m[i].msg_len, r[i].msg_hdr.msg_flags,
            (int)r[i].msg_hdr.msg_namelen);
        show("bytes", rooms[i], r[i].msg_len);
    }
    SAY(recvmmsg(p[1], r, 8, MSG_DONTWAIT, NULL));
    SAY(sendmmsg(p[0], m, 2, 0));
    SAY(recvmmsg(p[1], r, 8, MSG_DONTWAIT, NULL));
    struct timespec t = {0, 10000000};
    SAY(sendmmsg(p[0], m, 1, 0));
    struct timeval half = {0, 100000};
    SAY(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &half, sizeof half));
    SAY(recvmmsg(p[1], r, 2, 0, &t));
    m[1].msg_hdr.msg_iov = nowhere;
    SAY(sendmmsg(p[0], m, 3, 0)); /* stops at the bad one */
    SAY(sendmmsg(p[0], m + 1, 2, 0));
}

SCENARIO(options_and_waiting)
{
    int p[2];
    char buf[8];
    udp_pair(p);
    struct timeval t = {0, 40000};
    SAY(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    int64_t start = now_ms();
    SAY(recv(p[1], buf, 8, 0));
    CHECK(now_ms() - start >= 39);
    SAY(shutdown(p[0], SHUT_WR));
    SAY(send(p[0], "x", 1, MSG_NOSIGNAL));
    SAY(shutdown(p[1], SHUT_RD));
    SAY(recv(p[1], buf, 8, 0));
    struct pollfd w = {p[1], POLLIN | POLLOUT | POLLRDHUP, 0};
    SAY(poll(&w, 1, 0));
    SAY(w.revents);
    int fd = bound(AF_INET, SOCK_DGRAM);
    struct name everyone = loopback(AF_INET, 9);
    everyone.four.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    SAY(sendto(fd, "x", 1, 0, &everyone.any, everyone.len));
    SAY(connect(fd, &everyone.any, everyone.len));
    SAY(listen(fd, 1));
    SAY(send(fd, "x", 1, MSG_OOB));
    SAY(shutdown(fd, SHUT_RDWR));
}

SCENARIO(multicast)
{
    int in = (int)SAY(socket(AF_INET, SOCK_DGRAM, 0)), out = (int)SAY(socket(AF_INET, SOCK_DGRAM, 0));
    struct name group = loopback(AF_INET, 0);
    group.four.sin_addr.s_addr = inet_addr("239.255.77.1");
    SAY(bind(in, &group.any, group.len));
    struct ip_mreqn join = {.imr_multiaddr = group.four.sin_addr, .imr_address = {htonl(INADDR_LOOPBACK)}};
    SAY(setsockopt(in, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
    SAY(setsockopt(in, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
    struct in_addr lo = {htonl(INADDR_LOOPBACK)};
    SAY(setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
    group.four.sin_port = htons((uint16_t)port_of(in));
    SAY(sendto(out, "to all", 6, 0, &group.any, group.len));
    char buf[16];
    SAY(readable(in, 1000));
    show("got", buf, SAY(recv(in, buf, 16, MSG_DONTWAIT)));
    SAY(setsockopt(in, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
    SAY(setsockopt(in, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
}

static void ping_pong(void *arg)
{
    int fd = *(int *)arg;
    char buf[2000];
    for (int i = 0; i < 500; i++) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n < 0 || send(fd, buf, (size_t)n, 0) != n)
            break;
    }
}

SCENARIO(ping_pong_500)
{
    int p[2];
    char out[1200], in[2000];
    udp_pair(p);
    struct worker w;
    begin(&w, ping_pong, &p[1]);
    int right = 0;
    for (int i = 0; i < 500; i++) {
        size_t n = (size_t)(i * 7 % 1200);
        fill(out, n, 0, (unsigned)i);
        MUST(send(p[0], out, n, 0));
        right += recv(p[0], in, sizeof in, 0) == (ssize_t)n && memcmp(in, out, n) == 0;
    }
    SAY(right);
    join(&w);
}

/* Of IPv6: membership, and control data (the loopback has no way to a group). */
SCENARIO(control_and_membership_v6)
{
    int in = bound(AF_INET6, SOCK_DGRAM), out = (int)SAY(socket(AF_INET6, SOCK_DGRAM, 0)), on = 1, lo = 1;
    struct name to = loopback(AF_INET6, port_of(in));
    struct ipv6_mreq join = {.ipv6mr_interface = 1};
    inet_pton(AF_INET6, "ff12::77:1", &join.ipv6mr_multiaddr);
    SAY(setsockopt(in, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &join, sizeof join));
    SAY(setsockopt(in, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &join, sizeof join));
    SAY(setsockopt(in, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &join, sizeof join));
    SAY(setsockopt(in, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &join, sizeof join));
    SAY(setsockopt(in, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on));
    SAY(setsockopt(in, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
    SAY(setsockopt(out, IPPROTO_IPV6, IPV6_MULTICAST_IF, &lo, sizeof lo));
    SAY(setsockopt(out, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &on, sizeof on));
    SAY(sendto(out, "to one", 6, 0, &to.any, to.len));
    char buf[16], control[256];
    struct iovec iov = {buf, 16};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    show("got", buf, SAY(recvmsg(in, &m, 0)));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        say("control level %d type %d length %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
        if (c->cmsg_type == IPV6_PKTINFO)
            SAY(memcmp(CMSG_DATA(c), &in6addr_loopback, 16) == 0);
    }
}
