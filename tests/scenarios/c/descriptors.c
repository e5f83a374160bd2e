/* Descriptor numbers: copies, sharing, closing, reuse, passing. */
#include "scenario.h"

SCENARIO(copies_share)
{
    int p[2];
    char buf[16];
    tcp_pair(p);
    int a = (int)SAY(dup(p[0])), b = (int)SAY(fcntl(p[0], F_DUPFD, 20)), c = (int)SAY(fcntl(p[0], F_DUPFD_CLOEXEC, 20));
    int d = (int)SAY(dup2(p[0], 30)), e = (int)SAY(dup3(p[0], 31, O_CLOEXEC));
    int all[] = {p[0], a, b, c, d, e};
    for (int i = 0; i < 6; i++) {
        SAY(fcntl(all[i], F_GETFD));
        SAY(send(all[i], "abcdef" + i, 1, 0));
    }
    SAY(recv(p[1], buf, 6, MSG_WAITALL));
    show("from all", buf, 6);
    SAY(fcntl(b, F_SETFL, O_NONBLOCK));
    for (int i = 0; i < 6; i++) {
        SAY(fcntl(all[i], F_GETFL) & O_NONBLOCK);
        SAY(recv(all[i], buf, 1, 0));
    }
    int zero = 0;
    SAY(ioctl(e, FIONBIO, &zero));
    SAY(fcntl(p[0], F_GETFL) & O_NONBLOCK);
    SAY(send(p[1], "xyz", 3, 0));
    SAY(recv(a, buf, 1, 0));
    SAY(recv(d, buf, 1, 0));
    SAY(recv(c, buf, 1, 0));
    for (int i = 0; i < 5; i++) {
        SAY(close(all[i]));
        SAY(readable(p[1], 0)); /* nothing until the last one is closed */
    }
    SAY(send(e, "last", 4, 0));
    SAY(recv(p[1], buf, 16, 0));
    SAY(close(e));
    SAY(readable(p[1], 1000));
    SAY(recv(p[1], buf, 16, 0));
    SAY(send(e, "x", 1, 0));
}

SCENARIO(copy_errors)
{
    int p[2];
    tcp_pair(p);
    SAY(dup(-1));
    SAY(dup(1 << 30));
    SAY(dup2(p[0], p[0]));
    SAY(dup2(p[0], -1));
    SAY(dup2(p[0], 1 << 30));
    SAY(dup2(77, p[0]));
    SAY(send(p[0], "alive", 5, 0));
    SAY(dup3(p[0], p[0], 0));
    SAY(dup3(p[0], 40, O_APPEND));
    SAY(fcntl(p[0], F_DUPFD, -1));
    SAY(fcntl(p[0], F_DUPFD, 1 << 30));
    SAY(fcntl(p[0], 9999));
    SAY(fcntl(-1, F_GETFL));
    SAY(close(-1));
    SAY(close(1 << 30));
    SAY(close(77));
    SAY(fcntl(p[0], F_GETFL) == O_RDWR);
    char buf[8];
    SAY(recv(p[1], buf, 5, MSG_WAITALL));
}

SCENARIO(dup2_over)
{
    int p[2], q[2], pipes[2];
    char buf[16];
    tcp_pair(p);
    tcp_pair(q);
    MUST(pipe(pipes));
    SAY(dup2(p[0], q[0])); /* over a live socket: its peer sees the end */
    SAY(recv(q[1], buf, 8, 0));
    SAY(send(q[0], "one", 3, 0));
    show("got", buf, SAY(recv(p[1], buf, 8, 0)));
    SAY(dup2(pipes[1], p[0])); /* a pipe over a socket */
    SAY(write(p[0], "piped", 5));
    show("pipe", buf, SAY(read(pipes[0], buf, 8)));
    SAY(send(p[0], "x", 1, 0));
    SAY(send(q[0], "two", 3, 0));
    SAY(recv(p[1], buf, 8, 0));
    SAY(dup2(q[0], pipes[1])); /* a socket over a pipe */
    SAY(write(pipes[1], "three", 5));
    show("got", buf, SAY(recv(p[1], buf, 8, 0)));
    SAY(close(q[0]));
    SAY(close(pipes[1]));
    SAY(recv(p[1], buf, 8, 0));
    SAY(dup2(p[1], 0)); /* standard input, as inetd does */
    SAY(close(p[1]));
    SAY(getpeername(0, &(struct sockaddr){0}, &(socklen_t){sizeof(struct sockaddr)}));
}

SCENARIO(standard_output_is_a_socket)
{
    int p[2], keep = (int)MUST(dup(1));
    char buf[64];
    tcp_pair(p);
    MUST(dup2(p[0], 1));
    printf("through %s\n", "stdio");
    fflush(stdout);
    MUST(write(1, "raw\n", 4) == 4 ? 0 : -1);
    MUST(dup2(keep, 1));
    MUST(close(keep));
    MUST(shutdown(p[0], SHUT_WR));
    size_t n = 0;
    for (ssize_t r; (r = recv(p[1], buf + n, sizeof buf - n, 0)) > 0;)
        n += (size_t)r;
    show("socket got", buf, (long)n);
}

SCENARIO(numbers_are_reused)
{
    int p[2];
    char buf[16];
    tcp_pair(p);
    int file = (int)SAY(open("/dev/zero", O_RDONLY));
    SAY(close(p[0]));
    SAY(open("/dev/zero", O_RDONLY)); /* the lowest free number */
    SAY(read(p[0], buf, 4));
    SAY(send(p[0], "x", 1, 0));
    SAY(recv(p[1], buf, 4, 0));
    SAY(close(file));
    SAY(socket(AF_INET, SOCK_DGRAM, 0));
    SAY(close(p[0]));
    SAY(socket(AF_UNIX, SOCK_STREAM, 0));
    SAY(recv(p[0], buf, 4, 0));
    SAY(close(p[1]));
    SAY(eventfd(3, 0));
    SAY(read(p[1], buf, 8));
    show("eventfd", buf, 8);
}

SCENARIO(closed_behind_our_back)
{
    int p[2], q[2];
    char buf[16];
    tcp_pair(p);
    SAY(send(p[0], "before", 6, 0));
    /* fclose closes the number inside libc; the number then becomes a file's */
    FILE *f = fdopen(p[0], "r+");
    SAY(fclose(f));
    SAY(open("/dev/zero", O_RDWR));
    SAY(read(p[0], buf, 4));
    SAY(write(p[0], buf, 4));
    SAY(recv(p[1], buf, 16, 0));
    SAY(recv(p[1], buf, 16, 0));
    SAY(close(p[0]));
    /* and by an instruction of the program's own */
    tcp_pair(q);
    SAY(bare(SYS_close, q[0], 0));
    SAY(recv(q[1], buf, 16, 0));
    SAY(open("/dev/zero", O_RDWR));
    SAY(read(q[0], buf, 4));
    SAY(send(q[0], buf, 4, 0));
    SAY(bare(SYS_dup2, q[1], q[0]));
    SAY(getpeername(q[0], &(struct sockaddr){0}, &(socklen_t){sizeof(struct sockaddr)}));
    SAY(recv(q[0], buf, 4, 0));
}

SCENARIO(sweep_with_close)
{
    int before[2];
    char buf[8];
    tcp_pair(before);
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    int closed = 0;
    for (int fd = 3; fd < 65536; fd++)
        closed += close(fd) == 0;
    SAY(closed);
    for (int round = 0; round < 2; round++) {
        int p[2];
        tcp_pair(p);
        say("numbers %d %d", p[0], p[1]);
        SAY(send(p[0], "new", 3, 0));
        show("got", buf, SAY(recv(p[1], buf, 3, MSG_WAITALL)));
        int ep = (int)SAY(epoll_create1(0));
        SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &(struct epoll_event){.events = EPOLLOUT}));
        SAY(epoll_wait(ep, &(struct epoll_event){0}, 1, 1000));
        if (round == 0)
            closefrom(3);
    }
}

SCENARIO(sweep_with_close_range)
{
    int p[2], q[2];
    char buf[8];
    tcp_pair(p);
    tcp_pair(q);
    say("numbers %d %d %d %d", p[0], p[1], q[0], q[1]);
    SAY(close_range((unsigned)q[0], (unsigned)q[0], 0));
    SAY(recv(q[1], buf, 8, 0));
    SAY(close_range(5, 4, 0));
    SAY(close_range(3, ~0u, 1 << 20));
    SAY(send(p[0], "alive", 5, 0));
    SAY(recv(p[1], buf, 5, MSG_WAITALL));
    SAY(close_range(3, ~0u, CLOSE_RANGE_CLOEXEC));
    SAY(fcntl(p[0], F_GETFD));
    SAY(send(p[0], "alive", 5, 0));
    SAY(recv(p[1], buf, 5, MSG_WAITALL));
    SAY(close_range(3, ~0u, 0));
    SAY(send(p[0], "x", 1, 0));
    tcp_pair(p);
    say("numbers %d %d", p[0], p[1]);
    SAY(send(p[0], "new", 3, 0));
    show("got", buf, SAY(recv(p[1], buf, 3, MSG_WAITALL)));
}

SCENARIO(ioctls)
{
    int p[2], n = -1, one = 1;
    char buf[16];
    tcp_pair(p);
    SAY(ioctl(p[0], FIONREAD, &n));
    SAY(n);
    SAY(send(p[1], "12345", 5, 0));
    await_bytes(p[0], 5);
    SAY(ioctl(p[0], FIONREAD, nowhere));
    SAY(ioctl(p[0], FIONBIO, nowhere));
    SAY(ioctl(p[0], FIONBIO, &one));
    SAY(fcntl(p[0], F_GETFL) & O_NONBLOCK);
    SAY(recv(p[0], buf, 16, 0));
    SAY(recv(p[0], buf, 16, 0));
    SAY(ioctl(p[0], 0x12345678, &n));
    SAY(ioctl(-1, FIONREAD, &n));
    SAY(ioctl(p[0], TCGETS, buf));
    SAY(isatty(p[0]));
    n = -1;
    SAY(ioctl(p[1], SIOCOUTQ, &n));
    CHECK(n >= 0);
    SAY(ioctl(p[0], FIOASYNC, &one));
    SAY((fcntl(p[0], F_GETFL) & O_ASYNC) != 0);
    SAY(fcntl(p[0], F_SETFL, O_RDWR));
    SAY(fcntl(p[0], F_GETFL) & (O_ASYNC | O_NONBLOCK));
    int l = listening(AF_INET, 1);
    SAY(ioctl(l, FIONREAD, &n));
    struct stat s;
    SAY(fstat(p[0], &s));
    SAY(S_ISSOCK(s.st_mode));
    SAY(fcntl(p[0], F_SETFD, FD_CLOEXEC));
    SAY(fcntl(p[0], F_GETFD));
    SAY(ioctl(p[0], FIONCLEX));
    SAY(fcntl(p[0], F_GETFD));
    SAY(ioctl(p[0], FIOCLEX));
    SAY(fcntl(p[0], F_GETFD));
}

static void pass(int over, int fd)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {"f", 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
    MUST(sendmsg(over, &m, 0));
}

static int passed(int over)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char c;
    int fd = -1;
    struct iovec iov = {&c, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    MUST(recvmsg(over, &m, 0));
    if (CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

SCENARIO(passed_in_one_process)
{
    int p[2], u[2];
    char buf[16];
    tcp_pair(p);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
    pass(u[0], p[0]);
    SAY(close(p[0]));
    SAY(readable(p[1], 20)); /* in flight: still open */
    int again = passed(u[1]);
    say("arrived as %d", again);
    SAY(send(again, "over", 4, 0));
    show("got", buf, SAY(recv(p[1], buf, 16, 0)));
    SAY(send(p[1], "back", 4, 0));
    SAY(recv(again, buf, 4, MSG_WAITALL));
    SAY(close(again));
    SAY(recv(p[1], buf, 16, 0));
}

SCENARIO(passed_to_a_child)
{
    int p[2], u[2];
    char buf[16];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
    int pid = (int)MUST(fork());
    if (pid == 0) {
        close(u[0]);
        int fd = passed(u[1]);
        ssize_t n;
        while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
            send_all(fd, buf, (size_t)n);
        _exit(n == 0 ? 0 : 1);
    }
    close(u[1]);
    tcp_pair(p);
    pass(u[0], p[1]);
    SAY(close(p[1]));
    for (int i = 0; i < 3; i++) {
        SAY(send(p[0], "echo", 4, 0));
        show("echo", buf, SAY(recv(p[0], buf, 4, MSG_WAITALL)));
    }
    SAY(shutdown(p[0], SHUT_WR));
    SAY(recv(p[0], buf, 4, 0));
    reap(pid);
}

SCENARIO(pidfd_getfd_of_a_socket)
{
    int p[2];
    char buf[8];
    tcp_pair(p);
    int self = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0));
    int copy = (int)SAY(syscall(SYS_pidfd_getfd, self, p[0], 0));
    SAY(close(p[0]));
    SAY(send(copy, "taken", 5, 0));
    show("got", buf, SAY(recv(p[1], buf, 8, 0)));
    SAY(close(copy));
    SAY(recv(p[1], buf, 8, 0));
}

SCENARIO(no_numbers_left)
{
    int p[2], pipes[2], l = listening(AF_INET, 4);
    char buf[8];
    tcp_pair(p);
    int c = dialled(AF_INET, port_of(l)), top = (int)MUST(dup(p[0]));
    struct rlimit limit, full;
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    full = (struct rlimit){(rlim_t)top + 1, limit.rlim_max};
    MUST(setrlimit(RLIMIT_NOFILE, &full));
    SAY(dup(p[0]));
    SAY(fcntl(p[0], F_DUPFD, 0));
    SAY(fcntl(p[0], F_DUPFD_CLOEXEC, top + 1));
    SAY(dup2(p[0], top + 1));
    SAY(dup3(p[0], top + 1, 0));
    SAY(accept(l, NULL, NULL));
    SAY(pipe(pipes));
    SAY(epoll_create1(0));
    SAY(dup2(p[0], top) == top);
    SAY(send(top, "still", 5, 0));
    SAY(recv(p[1], buf, 8, 0));
    SAY(close(top));
    SAY(accept(l, NULL, NULL) == top);
    SAY(send(c, "later", 5, 0));
    SAY(recv(top, buf, 5, MSG_WAITALL));
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
}

/* A program started without standard descriptors gets 0, 1 and 2 for its sockets. */
SCENARIO(low_numbers)
{
    char buf[8];
    MUST(dup2(1, 50));
    for (int fd = 0; fd < 3; fd++)
        MUST(close(fd));
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    struct name a = loopback(AF_INET, 0);
    bool fine = bind(l, &a.any, a.len) == 0 && listen(l, 4) == 0;
    a = loopback(AF_INET, port_of(l));
    fine &= connect(c, &a.any, a.len) == 0;
    int s = accept(l, NULL, NULL), ep = epoll_create1(0);
    fine &= send(c, "low", 3, 0) == 3 && recv(s, buf, 8, 0) == 3;
    MUST(dup2(50, 1));
    say("numbers %d %d %d %d, working %d", l, c, s, ep, fine);
}
