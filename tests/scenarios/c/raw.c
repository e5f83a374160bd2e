/* Programs that go round libc: syscall(2), and io_uring. */
#include "scenario.h"
#include "ring.h"

struct old_mask {
    const void *mask;
    size_t size;
};

SCENARIO(data)
{
    int p[2];
    char buf[64] = "";
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    tcp_pair(p);
    for (int i = 0; i < 2; i++) {
        int to = p[i], at = p[!i];
        struct iovec out[] = {{"vec", 3}, {"tor", 3}}, in[] = {{buf, 2}, {buf + 2, 62}};
        struct msghdr give = {.msg_iov = out, .msg_iovlen = 2};
        struct msghdr take = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = in, .msg_iovlen = 2};
        SAY(syscall(SYS_write, to, "write", 5));
        show("read", buf, SAY(syscall(SYS_read, at, buf, 64)));
        SAY(syscall(SYS_sendto, to, "sendto", 6, MSG_NOSIGNAL, NULL, 0));
        show("recvfrom", buf, SAY(syscall(SYS_recvfrom, at, buf, 3, MSG_PEEK, NULL, NULL)));
        show("recvfrom", buf, SAY(syscall(SYS_recvfrom, at, buf, 64, 0, &from, &len)));
        SAY(len);
        SAY(syscall(SYS_writev, to, out, 2));
        show("readv", buf, SAY(syscall(SYS_readv, at, in, 2)));
        SAY(syscall(SYS_sendmsg, to, &give, 0));
        show("recvmsg", buf, SAY(syscall(SYS_recvmsg, at, &take, 0)));
        SAY(take.msg_namelen);
        SAY(syscall(SYS_read, at, buf, 0));
        SAY(syscall(SYS_recvfrom, at, buf, 64, MSG_DONTWAIT, NULL, NULL));
        SAY(syscall(SYS_read, at, NULL, 0));
        SAY(syscall(SYS_write, to, NULL, 8));
        int file = memfd_create("file", 0), n;
        off_t offset = 2;
        SAY(syscall(SYS_write, file, "0123456789", 10));
        SAY(syscall(SYS_sendfile, to, file, &offset, 5));
        SAY(offset);
        await_bytes(at, 5);
        SAY(syscall(SYS_ioctl, at, FIONREAD, &n));
        SAY(n);
        show("from the file", buf, SAY(syscall(SYS_read, at, buf, 64)));
        SAY(close(file));
    }
    SAY(syscall(SYS_shutdown, p[0], SHUT_WR));
    SAY(syscall(SYS_read, p[1], buf, 64));
    SAY(syscall(SYS_write, p[1], "back", 4));
    show("back", buf, SAY(syscall(SYS_read, p[0], buf, 64)));
    SAY(syscall(SYS_close, p[1]));
    SAY(syscall(SYS_read, p[0], buf, 64));
}

static void *late(void *fd)
{
    nap_ms(30);
    MUST(syscall(SYS_write, *(int *)fd, "late", 4));
    return NULL;
}

SCENARIO(waits)
{
    int p[2];
    char buf[8];
    pthread_t thread;
    tcp_pair(p);
    for (int i = 0; i < 2; i++) {
        MUST(pthread_create(&thread, NULL, late, &p[1]));
        show("slept", buf, SAY(syscall(SYS_read, p[0], buf, 8)));
        pthread_join(thread, NULL);
    }
    struct timeval t = {0, 20000};
    SAY(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    SAY(syscall(SYS_read, p[0], buf, 8));
}

static void asked(int to, int at, long how)
{
    char buf[8];
    struct pollfd one = {at, POLLIN, 0};
    struct timespec time = {1, 0};
    struct timeval old_time = {1, 0};
    struct old_mask mask = {NULL, 8};
    struct epoll_event event = {EPOLLIN, {.u32 = 7}};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(at, &set);
    int ep = epoll_create1(0);
    MUST(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, at, &event));
    MUST(send(to, "x", 1, 0));
    switch (how) {
    case SYS_poll: SAY(syscall(SYS_poll, &one, 1, 1000)); break;
    case SYS_ppoll: SAY(syscall(SYS_ppoll, &one, 1, &time, NULL, 8)); break;
    case SYS_select: SAY(syscall(SYS_select, at + 1, &set, NULL, NULL, &old_time)); break;
    case SYS_pselect6: SAY(syscall(SYS_pselect6, at + 1, &set, NULL, NULL, &time, &mask)); break;
    case SYS_epoll_wait: SAY(syscall(SYS_epoll_wait, ep, &event, 1, 1000)); break;
    case SYS_epoll_pwait: SAY(syscall(SYS_epoll_pwait, ep, &event, 1, 1000, NULL, 8)); break;
    case SYS_epoll_pwait2: SAY(syscall(SYS_epoll_pwait2, ep, &event, 1, &time, NULL, 8)); break;
    }
    SAY(syscall(SYS_read, at, buf, 8));
    SAY(syscall(SYS_close, ep));
}

SCENARIO(readiness)
{
    static const long ways[] = {SYS_poll,       SYS_select,      SYS_epoll_wait, SYS_epoll_pwait,
                                SYS_epoll_pwait2, SYS_ppoll, SYS_pselect6, SYS_poll};
    int p[2];
    tcp_pair(p);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        asked(p[0], p[1], ways[i]);
        asked(p[1], p[0], ways[i]);
    }
}

SCENARIO(copies)
{
    int p[2];
    char buf[16];
    tcp_pair(p);
    int a = (int)SAY(syscall(SYS_dup, p[0])), b = (int)SAY(syscall(SYS_fcntl, p[0], F_DUPFD, 40));
    SAY(syscall(SYS_dup2, p[0], 50));
    SAY(syscall(SYS_dup3, p[0], 51, O_CLOEXEC));
    SAY(syscall(SYS_close, p[0]));
    const int all[] = {a, b, 50, 51};
    for (int i = 0; i < 4; i++) {
        SAY(syscall(SYS_write, all[i], "copy", 4));
        SAY(recv(p[1], buf, 16, 0));
        SAY(send(p[1], "answer", 6, 0));
        SAY(recv(all[i], buf, 16, 0));
    }
    SAY(syscall(SYS_fcntl, a, F_SETFL, O_NONBLOCK));
    SAY(recv(b, buf, 16, 0));
    SAY(syscall(SYS_close_range, 50, 51, 0));
    SAY(syscall(SYS_close, a));
    SAY(syscall(SYS_close, b));
    SAY(recv(p[1], buf, 16, 0));
}

/* A new connection through raw calls, and listeners. */
SCENARIO(connections)
{
    int l = listening(AF_INET, 4), c = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), value = 1;
    struct name a = loopback(AF_INET, port_of(l)), b = {.len = sizeof b.room};
    char buf[8];
    SAY(syscall(SYS_connect, c, &a.any, a.len));
    int s = (int)SAY(syscall(SYS_accept, l, &b.any, &b.len));
    int pair[2] = {c, s};
    warm_up(pair);
    SAY(syscall(SYS_getpeername, c, &b.any, &b.len));
    SAY(b.four.sin_port == a.four.sin_port);
    SAY(syscall(SYS_setsockopt, c, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
    SAY(syscall(SYS_getsockopt, c, IPPROTO_TCP, TCP_NODELAY, &value, &b.len));
    SAY(value);
    SAY(syscall(SYS_write, c, "hello", 5));
    SAY(recv(s, buf, 8, 0));
    SAY(syscall(SYS_getppid) > 0);
    SAY(syscall(-1));
    SAY(syscall(100000));
}

/* What a program's own splice, or a ring of the kernel's, takes from a connection. */
SCENARIO(spliced)
{
    int p[2], pipes[2];
    char buf[16];
    tcp_pair(p);
    MUST(pipe(pipes));
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, late, &p[0]));
    SAY(syscall(SYS_splice, p[1], NULL, pipes[1], NULL, 14, 0));
    pthread_join(thread, NULL);
    show("spliced", buf, SAY(read(pipes[0], buf, 16)));
    SAY(send(p[1], "back", 4, 0));
    SAY(recv(p[0], buf, 16, 0));
}

SCENARIO(kernel_ring)
{
    int p[2], q[2];
    char buf[64];
    struct ring ring;
    tcp_pair(p);
    MUST(setsockopt(p[0], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
    SAY(send(p[0], "sent before", 11, 0));
    if (!make_ring(&ring)) {
        say("no io_uring");
        return;
    }
    SAY(send(p[0], ", and after", 11, 0));
    nap_ms(20);
    show("by the ring", buf, SAY(done_by_ring(&ring, IORING_OP_RECV, p[1], buf, 64)));
    SAY(done_by_ring(&ring, IORING_OP_SEND, p[1], "answer", 6));
    show("answer", buf, SAY(recv(p[0], buf, 64, 0)));
    tcp_pair(q); /* a later one stays where the ring finds it */
    SAY(send(q[0], "later", 5, 0));
    show("by the ring", buf, SAY(done_by_ring(&ring, IORING_OP_RECV, q[1], buf, 64)));
}
