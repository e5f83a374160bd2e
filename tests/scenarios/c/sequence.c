/* Runs a script of socket operations and writes each with its result and errno: `sequence SCRIPT`.
 *
 * A line is `operation a b c`, numbers only. Sockets live in SLOTS slots, epoll sets in SETS; what an empty slot holds
 * is -1, so that wrong descriptors are asked for too. One process, one thread, the loopback; no port is ever written.
 * Sockets have time-outs of WAIT ms, so that a blocking one ends as surely as a non-blocking one. */
#define OWN_MAIN
#include "scenario.h"

enum { SLOTS = 8, SETS = 2, WAIT = 10, HIGH = 900 };
static int slots[SLOTS], sets[SETS], mark[2];
static char data[65536], room[65536];

static int *slot(long k)
{
    return &slots[(unsigned long)k % SLOTS];
}

static int fd_of(long k)
{
    return *slot(k);
}

/* Everything that has been sent is where it goes: this process has one processor, whose loopback is one queue, so when
 * a datagram has gone through it, what was sent before has too. What that set off is behind it: hence some turns. */
static void settle(void)
{
    for (int turns = 0; turns < 6; turns++) {
        char c;
        long sent = syscall(SYS_sendto, mark[0], "m", 1, 0, NULL, 0);
        if (sent != 1 || syscall(SYS_recvfrom, mark[1], &c, 1, 0, NULL, NULL) != 1)
            say("BROKEN: the loopback lost a datagram");
    }
}

/* The two sockets of settle(): raw, and with high numbers, so that they are nobody's business. */
static void make_mark(void)
{
    struct name a = loopback(AF_INET, 0);
    for (int i = 0; i < 2; i++) {
        int fd = (int)MUST(syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0));
        mark[i] = (int)MUST(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH));
        MUST(syscall(SYS_close, fd));
    }
    MUST(syscall(SYS_bind, mark[1], &a.any, a.len));
    MUST(syscall(SYS_getsockname, mark[1], &a.any, &a.len));
    MUST(syscall(SYS_connect, mark[0], &a.any, a.len));
}

/* --- descriptors --- */
static void waits(int fd)
{
    struct timeval t = {0, WAIT * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

/* A slot that is used again closes what it held. */
static long put(long k, long fd)
{
    int error = errno;
    if (fd >= 0) {
        if (fd_of(k) >= 0 && fd_of(k) != fd)
            close(fd_of(k));
        for (int i = 0; i < SLOTS; i++)
            if (slots[i] == fd)
                slots[i] = -1;
        *slot(k) = (int)fd;
    }
    errno = error;
    return fd;
}

static long op_socket(long k, long type, long flags)
{
    int fd = socket(AF_INET, (type & 1 ? SOCK_DGRAM : SOCK_STREAM) | (flags & 1 ? SOCK_NONBLOCK : 0) | SOCK_CLOEXEC, 0);
    waits(fd);
    return put(k, fd);
}

static long op_close(long k, long b, long c)
{
    (void)b, (void)c;
    int fd = fd_of(k);
    *slot(k) = -1;
    return close(fd);
}

/* By a raw system call, or behind everybody's back; the slot is empty now. */
static long op_vanish(long k, long b, long libc)
{
    (void)b;
    int fd = fd_of(k);
    *slot(k) = -1;
    return libc & 1 ? syscall(SYS_close, fd) : bare(SYS_close, fd, 0);
}

static long op_dup(long k, long to, long c)
{
    (void)c;
    return put(to, dup(fd_of(k)));
}

static long op_dup2(long k, long to, long three)
{
    int fd = fd_of(to) >= 0 ? fd_of(to) : 50 + (int)((unsigned long)to % SLOTS);
    int r = three & 1 ? dup3(fd_of(k), fd, O_CLOEXEC) : dup2(fd_of(k), fd);
    if (r >= 0 && slot(k) != slot(to))
        *slot(to) = r;
    return r;
}

static long op_dupfd(long k, long to, long least)
{
    return put(to, fcntl(fd_of(k), F_DUPFD_CLOEXEC, (int)(least & 63)));
}

static long op_fcntl(long k, long command, long arg)
{
    static const int flags[] = {0, O_NONBLOCK, O_NONBLOCK | O_APPEND, O_APPEND};
    switch (command & 3) {
    case 0: return fcntl(fd_of(k), F_GETFL);
    case 1: return fcntl(fd_of(k), F_SETFL, flags[arg & 3]);
    case 2: return fcntl(fd_of(k), F_GETFD);
    default: return fcntl(fd_of(k), F_SETFD, arg & 1);
    }
}

static long op_ioctl(long k, long request, long arg)
{
    int value = (int)(arg & 1);
    int r = ioctl(fd_of(k), request & 1 ? FIONREAD : FIONBIO, &value);
    if (r == 0 && request & 1)
        say("  %d", value);
    return r;
}

/* --- connections --- */
static long op_bind(long k, long b, long c)
{
    (void)b, (void)c;
    struct name a = loopback(AF_INET, 0);
    return bind(fd_of(k), &a.any, a.len);
}

static long op_listen(long k, long backlog, long c)
{
    (void)c;
    return listen(fd_of(k), 8 + (int)(backlog & 7));
}

static struct name name_of_slot(long k)
{
    struct name a = {.len = sizeof a.room};
    return getsockname(fd_of(k), &a.any, &a.len) == 0 ? a : loopback(AF_INET, 0);
}

static long op_connect(long k, long to, long c)
{
    (void)c;
    struct name a = name_of_slot(to);
    if (a.four.sin_addr.s_addr == 0)
        a = loopback(AF_INET, ntohs(a.four.sin_port));
    return connect(fd_of(k), &a.any, a.len);
}

static long op_disconnect(long k, long b, long c)
{
    (void)b, (void)c;
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    return connect(fd_of(k), &nobody, sizeof nobody);
}

static long op_accept(long k, long to, long how)
{
    struct name a = {.len = sizeof a.room};
    int fd = how & 1 ? accept4(fd_of(k), &a.any, &a.len, SOCK_NONBLOCK) : accept(fd_of(k), NULL, NULL);
    if (fd >= 0 && how & 1)
        say("  from family %d, %u bytes", a.any.sa_family, a.len);
    return put(to, fd);
}

static long op_shutdown(long k, long how, long c)
{
    (void)c;
    return shutdown(fd_of(k), (int)(how & 3)); /* 3 is wrong */
}

static long op_names(long k, long peer, long c)
{
    (void)c;
    struct name a = {.len = sizeof a.room};
    int r = peer & 1 ? getpeername(fd_of(k), &a.any, &a.len) : getsockname(fd_of(k), &a.any, &a.len);
    if (r == 0)
        say("  family %d, %u bytes, port %s", a.any.sa_family, a.len, a.four.sin_port ? "known" : "none");
    return r;
}

static long op_getsockopt(long k, long which, long c)
{
    (void)c;
    static const int options[] = {SO_ERROR,    SO_TYPE,  SO_ACCEPTCONN, SO_REUSEADDR,
                                  SO_RCVLOWAT, SO_ERROR, SO_ERROR,      SO_KEEPALIVE};
    int value = 0;
    socklen_t len = sizeof value;
    int r = getsockopt(fd_of(k), SOL_SOCKET, options[which & 7], &value, &len);
    if (r == 0)
        say("  %d, %u bytes", value, len);
    return r;
}

static long op_setsockopt(long k, long which, long value)
{
    int number = (int)(value & 1);
    struct linger linger = {1, 0}; /* close resets */
    switch (which & 3) {
    case 0: return setsockopt(fd_of(k), SOL_SOCKET, SO_KEEPALIVE, &number, sizeof number);
    case 1: return setsockopt(fd_of(k), IPPROTO_TCP, TCP_NODELAY, &number, sizeof number);
    case 2: return setsockopt(fd_of(k), SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    default: number = 1 + number * 20; return setsockopt(fd_of(k), SOL_SOCKET, SO_RCVLOWAT, &number, sizeof number);
    }
}

/* --- data --- */
static long op_send(long k, long n, long how)
{
    static const int flags[] = {0, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_OOB};
    size_t size = (size_t)n % 3000;
    struct iovec iov[] = {{data, size / 3}, {data + size / 3, size - size / 3}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    switch (how & 7) {
    case 4: return write(fd_of(k), data, size);
    case 5: return writev(fd_of(k), iov, 2);
    case 6: return sendmsg(fd_of(k), &m, MSG_DONTWAIT);
    case 7: return sendto(fd_of(k), data, size, 0, NULL, 0);
    default: return send(fd_of(k), data, size, flags[how & 3]);
    }
}

static long op_sendto(long k, long to, long n)
{
    struct name a = name_of_slot(to);
    return sendto(fd_of(k), data, (size_t)n % 3000, MSG_DONTWAIT, &a.any, a.len);
}

static long op_recv(long k, long n, long how)
{
    static const int flags[] = {0, MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_TRUNC, MSG_OOB};
    size_t size = (size_t)n % 4000;
    struct iovec iov[] = {{room, size / 3}, {room + size / 3, size - size / 3}};
    struct name a = {.len = sizeof a.room};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2, .msg_name = &a.room, .msg_namelen = sizeof a.room};
    memset(room, 0, sizeof room);
    long r;
    switch (how % 10) {
    case 6: r = read(fd_of(k), room, size); break;
    case 7: r = readv(fd_of(k), iov, 2); break;
    case 8:
        r = recvmsg(fd_of(k), &m, 0);
        if (r >= 0)
            say("  name %u bytes, flags %x", m.msg_namelen, (unsigned)m.msg_flags);
        break;
    case 9:
        r = recvfrom(fd_of(k), room, size, MSG_DONTWAIT, &a.any, &a.len);
        if (r >= 0)
            say("  name %u bytes", a.len);
        break;
    default: r = recv(fd_of(k), room, size, flags[how % 10 % 6]);
    }
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + (unsigned char)room[i];
    say("  bytes %08x", sum);
    return r;
}

/* --- readiness --- */
static long op_poll(long events, long k, long timeout)
{
    static const short asked[] = {POLLIN, POLLOUT, POLLIN | POLLOUT, POLLIN | POLLRDHUP, POLLPRI, 0};
    struct pollfd all[SLOTS];
    for (int i = 0; i < SLOTS; i++)
        all[i] = (struct pollfd){slots[i], asked[(unsigned long)events % 6], 0};
    int n = k < SLOTS ? 1 : SLOTS, r = poll(n == 1 ? &all[k] : all, (nfds_t)n, timeout & 1 ? WAIT : 0);
    for (int i = 0; i < SLOTS; i++)
        if (all[i].revents)
            say("  slot %d %x", i, (unsigned)all[i].revents);
    return r;
}

static long op_select(long which, long k, long timeout)
{
    fd_set read, write, *r = which & 1 ? &read : NULL, *w = which & 2 ? &write : NULL;
    struct timeval t = {0, timeout & 1 ? WAIT * 1000 : 0};
    FD_ZERO(&read);
    FD_ZERO(&write);
    for (int i = 0; i < SLOTS; i++)
        if (slots[i] >= 0 && (k >= SLOTS || i == k)) {
            FD_SET(slots[i], &read);
            FD_SET(slots[i], &write);
        }
    int n = select(128, r, w, NULL, &t);
    for (int i = 0; i < SLOTS && n > 0; i++)
        if (slots[i] >= 0 && ((r && FD_ISSET(slots[i], r)) || (w && FD_ISSET(slots[i], w))))
            say("  slot %d%s%s", i, r && FD_ISSET(slots[i], r) ? " in" : "", w && FD_ISSET(slots[i], w) ? " out" : "");
    return n;
}

static long op_epoll(long e, long b, long c)
{
    (void)b, (void)c;
    int *set = &sets[e & 1];
    if (*set >= 0)
        close(*set);
    return *set = epoll_create1(EPOLL_CLOEXEC);
}

static long op_epoll_ctl(long e, long k, long how)
{
    static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, EPOLL_CTL_ADD};
    static const uint32_t asked[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT,
                                     EPOLLIN | EPOLLRDHUP};
    struct epoll_event event = {asked[(unsigned long)how / 4 % 5], {.u32 = (uint32_t)((unsigned long)k % SLOTS)}};
    return epoll_ctl(sets[e & 1], operations[how & 3], fd_of(k), &event);
}

static long op_epoll_wait(long e, long most, long timeout)
{
    struct epoll_event events[16];
    int r = epoll_wait(sets[e & 1], events, 1 + (int)(most & 15), timeout & 1 ? WAIT : 0);
    for (uint32_t k = 0; k < SLOTS; k++) /* in which order the ready ones come is the kernel's own business */
        for (int i = 0; i < r; i++)
            if (events[i].data.u32 == k)
                say("  slot %u %x", k, events[i].events);
    return r;
}

static const struct {
    const char *name;
    long (*run)(long, long, long);
} operations[] = {
    {"socket", op_socket}, {"close", op_close}, {"vanish", op_vanish},
    {"dup", op_dup}, {"dup2", op_dup2}, {"dupfd", op_dupfd},
    {"fcntl", op_fcntl}, {"ioctl", op_ioctl}, {"bind", op_bind},
    {"listen", op_listen}, {"connect", op_connect}, {"disconnect", op_disconnect},
    {"accept", op_accept}, {"shutdown", op_shutdown}, {"names", op_names},
    {"getsockopt", op_getsockopt}, {"send", op_send}, {"sendto", op_sendto},
    {"recv", op_recv}, {"setsockopt", op_setsockopt}, {"poll", op_poll},
    {"select", op_select}, {"epoll", op_epoll}, {"epoll_ctl", op_epoll_ctl},
    {"epoll_wait", op_epoll_wait},
};

int main(int argc, char **argv)
{
    cpu_set_t one;
    FILE *script = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!script)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    sched_getaffinity(0, sizeof one, &one);
    for (int cpu = 0, kept = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &one) && kept++)
            CPU_CLR(cpu, &one);
    MUST(sched_setaffinity(0, sizeof one, &one));
    memset(slots, 0xff, sizeof slots);
    memset(sets, 0xff, sizeof sets);
    fill(data, sizeof data, 0, 9);
    make_mark();
    char line[128], name[32];
    long a, b, c;
    while (fgets(line, sizeof line, script) && sscanf(line, "%31s %ld %ld %ld", name, &a, &b, &c) == 4)
        for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
            if (strcmp(name, operations[i].name) == 0) {
                errno = 0;
                long r = operations[i].run(a, b, c);
                int error = errno;
                settle();
                line[strcspn(line, "\n")] = 0;
                told(line, r, error);
            }
    say("end");
    note_host();
    return 0;
}
