/* What stays the kernel's: Unix sockets, pipes, files, netlink, the resolver; bad numbers everywhere. */
#include "scenario.h"

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netdb.h>
#include <stddef.h>

/* Every kind of descriptor meets a process in which the host runs. */
static void start_host(void)
{
    int p[2];
    tcp_pair(p);
    MUST(close(p[0]));
    MUST(close(p[1]));
}

SCENARIO(unix_sockets)
{
    start_host();
    int pair[2];
    char buf[16];
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 3; i++) {
        SAY(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, pair));
        SAY(send(pair[0], "hello", 5, 0));
        SAY(write(pair[0], "x", 1));
        show("got", buf, SAY(recv(pair[1], buf, 16, 0)));
        SAY(recv(pair[1], buf, 16, MSG_DONTWAIT));
        SAY(close(pair[0]));
        if (types[i] != SOCK_DGRAM)
            SAY(recv(pair[1], buf, 16, 0));
        SAY(close(pair[1]));
    }
    struct sockaddr_un name = {.sun_family = AF_UNIX}, peer;
    int n = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "flap-%d", getpid());
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n), peer_len = sizeof peer;
    int l = (int)SAY(socket(AF_UNIX, SOCK_STREAM, 0)), c = (int)SAY(socket(AF_UNIX, SOCK_STREAM, 0));
    SAY(bind(l, (void *)&name, len));
    SAY(listen(l, 4));
    SAY(connect(c, (void *)&name, len));
    int s = (int)SAY(accept(l, (void *)&peer, &peer_len));
    SAY(peer_len);
    struct ucred who;
    socklen_t who_len = sizeof who;
    SAY(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &who_len));
    SAY(who.pid == getpid());
    SAY(send(c, "abc", 3, 0));
    SAY(recv(s, buf, 16, 0));
    SAY(shutdown(c, SHUT_WR));
    SAY(recv(s, buf, 16, 0));
}

SCENARIO(pipes_and_files)
{
    start_host();
    int pipes[2];
    char buf[16];
    SAY(pipe2(pipes, O_NONBLOCK));
    SAY(read(pipes[0], buf, 16));
    SAY(write(pipes[1], "pipe", 4));
    SAY(send(pipes[1], "x", 1, 0));
    SAY(recv(pipes[0], buf, 16, 0));
    SAY(read(pipes[0], buf, 16));
    int n = 0;
    SAY(ioctl(pipes[0], FIONREAD, &n));
    int file = (int)SAY(memfd_create("file", 0));
    SAY(write(file, "0123456789", 10));
    SAY(pread(file, buf, 4, 3));
    show("at 3", buf, 4);
    SAY(lseek(file, 2, SEEK_SET));
    struct iovec iov[] = {{buf, 2}, {buf + 2, 2}};
    SAY(readv(file, iov, 2));
    show("from 2", buf, 4);
    SAY(recv(file, buf, 4, 0));
    SAY(accept(file, NULL, NULL));
    SAY(readable(file, 0));
    SAY(sendfile(pipes[1], file, &(off_t){0}, 5));
    SAY(read(pipes[0], buf, 16));
    uint64_t eight;
    int event = (int)SAY(eventfd(7, EFD_NONBLOCK));
    SAY(read(event, &eight, 4));
    SAY(read(event, &eight, 8));
    SAY(eight);
    SAY(read(event, &eight, 8));
    int dir = (int)SAY(open("/", O_RDONLY | O_DIRECTORY));
    SAY(read(dir, buf, 16));
    SAY(write(dir, buf, 1));
}

SCENARIO(netlink_and_resolver)
{
    start_host();
    int fd = (int)SAY(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
    } request = {{sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {.ifi_family = AF_UNSPEC}};
    SAY(sendto(fd, &request, sizeof request, 0, (void *)&kernel, sizeof kernel) == sizeof request);
    static char answer[65536];
    CHECK(recv(fd, answer, sizeof answer, 0) > 0);
    SAY(((struct nlmsghdr *)answer)->nlmsg_type == RTM_NEWLINK);
    struct ifaddrs *all, *a;
    SAY(getifaddrs(&all));
    bool loopback_seen = false;
    for (a = all; a; a = a->ifa_next)
        loopback_seen |= strcmp(a->ifa_name, "lo") == 0;
    CHECK(loopback_seen);
    freeifaddrs(all);
    struct addrinfo *found, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    SAY(getaddrinfo("127.0.0.1", "80", &hints, &found));
    SAY(ntohs(((struct sockaddr_in *)found->ai_addr)->sin_port));
    freeaddrinfo(found);
    hints.ai_flags = 0;
    SAY(getaddrinfo("localhost", "80", &hints, &found));
    SAY(((struct sockaddr_in *)found->ai_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    freeaddrinfo(found);
}

SCENARIO(bad_numbers)
{
    start_host();
    static const int numbers[] = {-1, -100, INT_MIN, 1 << 30, INT_MAX, 65535, 65536, 99};
    char buf[8] = "";
    struct iovec iov = {buf, 8};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct name a = loopback(AF_INET, 9);
    struct epoll_event e = {EPOLLIN, {0}};
    int n;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int fd = numbers[i];
        say("number %d", fd);
        SAY(read(fd, buf, 8));
        SAY(write(fd, buf, 8));
        SAY(readv(fd, &iov, 1));
        SAY(writev(fd, &iov, 1));
        SAY(recv(fd, buf, 8, 0));
        SAY(send(fd, buf, 8, 0));
        SAY(recvfrom(fd, buf, 8, 0, NULL, NULL));
        SAY(sendto(fd, buf, 8, 0, &a.any, a.len));
        SAY(recvmsg(fd, &m, 0));
        SAY(sendmsg(fd, &m, 0));
        SAY(bind(fd, &a.any, a.len));
        SAY(listen(fd, 1));
        SAY(accept(fd, NULL, NULL));
        SAY(accept4(fd, NULL, NULL, 0));
        SAY(connect(fd, &a.any, a.len));
        SAY(shutdown(fd, SHUT_RD));
        SAY(getsockname(fd, &a.any, &a.len));
        SAY(getpeername(fd, &a.any, &a.len));
        SAY(dup(fd));
        SAY(dup2(fd, 40));
        SAY(dup3(fd, 40, 0));
        SAY(fcntl(fd, F_GETFL));
        SAY(fcntl(fd, F_DUPFD, 0));
        SAY(ioctl(fd, FIONREAD, &n));
        SAY(close(fd));
        SAY(sendfile(fd, 0, NULL, 1));
        SAY(epoll_wait(fd, &e, 1, 0));
        SAY(epoll_ctl(fd, EPOLL_CTL_ADD, 0, &e));
        struct pollfd one = {fd, POLLIN, 0};
        SAY(poll(&one, 1, 1));
        SAY(one.revents);
    }
}

/* A descriptor made by a raw system call or by accept of a kernel listener is used by trapped calls all the same. */
SCENARIO(raw_system_calls)
{
    start_host();
    int fd = (int)SAY(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
    struct name a = loopback(AF_INET, 0);
    SAY(bind(fd, &a.any, a.len));
    SAY(listen(fd, 4));
    int c = dialled(AF_INET, port_of(fd)), s = (int)SAY(accept(fd, NULL, NULL));
    char buf[8];
    SAY(send(c, "one", 3, 0));
    SAY(recv(s, buf, 8, 0));
    SAY(syscall(SYS_sendto, s, "two", 3, 0, NULL, 0));
    SAY(recv(c, buf, 8, 0));
    SAY(syscall(SYS_dup, c) > 0);
    SAY(syscall(SYS_shutdown, c, SHUT_WR));
    SAY(recv(s, buf, 8, 0));
    SAY(syscall(SYS_fcntl, fd, F_SETFL, O_NONBLOCK));
    SAY(accept(fd, NULL, NULL));
    c = dialled(AF_INET, port_of(fd));
    SAY(syscall(SYS_accept4, fd, NULL, NULL, SOCK_NONBLOCK));
    SAY(send(c, "raw", 3, 0));
    SAY(recv(s + 3, buf, 8, 0));
}

SCENARIO(raw_sockets)
{
    start_host();
    int fd = (int)SAY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 ? 0 : -1);
    SAY(socket(AF_PACKET, SOCK_RAW, 0) >= 0 ? 0 : -1);
    SAY(socket(AF_INET, SOCK_STREAM, 132) >= 0 ? 0 : -1);
    (void)fd;
}
