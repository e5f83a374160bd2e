/* Options of a connection in use whose work only the kernel does, and calls that go with them. */
#include "scenario.h"

#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <net/if.h>

static void in_use(int p[2])
{
    tcp_pair(p);
    warm_up(p);
}

/* One byte each way, told by both. */
static void goes_on(const int p[2])
{
    char c = 'g';
    for (int side = 0; side < 2; side++) {
        SAY(send(p[side], &c, 1, 0));
        SAY(recv(p[!side], &c, 1, 0));
    }
}

/* Receive once. `aloud`: say its control messages, by level, type and size; how many there were. */
static int receive_with_control(int fd, bool aloud)
{
    char data[256], room[256];
    struct iovec iov = {data, sizeof data};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    int n = 0;
    MUST(recvmsg(fd, &m, 0));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c), n++)
        if (aloud)
            say("control %d %d, %d bytes", c->cmsg_level, c->cmsg_type, (int)c->cmsg_len);
    return n;
}

/* Bytes come with a control message: not the first ones, perhaps, for the kernel takes a moment to begin stamping. */
static void stamped(const int p[2])
{
    int turns = 0;
    do {
        nap_ms(turns > 0);
        MUST(send(p[0], "stamp", 5, 0));
    } while (receive_with_control(p[1], false) == 0 && ++turns < 500);
    MUST(send(p[0], "stamp", 5, 0));
    receive_with_control(p[1], true);
}

/* A thread that waits for a byte: whoever owes the other end something can be reached there. */
static void wait_for_byte(void *fd)
{
    char c;
    MUST(recv((int)(intptr_t)fd, &c, 1, 0));
}

SCENARIO(time_stamps)
{
    static const struct {
        int name, value;
    } kinds[] = {{SO_TIMESTAMP, 1}, {SO_TIMESTAMPNS, 1}, {63, 1}, {SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int p[2];
        in_use(p);
        SAY(setsockopt(p[1], SOL_SOCKET, kinds[i].name, &kinds[i].value, sizeof(int)));
        stamped(p);
        goes_on(p);
    }
}

SCENARIO(time_stamps_with_bytes_on_their_way)
{
    int p[2], on = 1;
    in_use(p);
    char sent[3000], got[3000];
    fill(sent, sizeof sent, 0, 3);
    CHECK(send_all(p[0], sent, sizeof sent));
    struct worker waits;
    begin(&waits, wait_for_byte, (void *)(intptr_t)p[0]);
    SAY(setsockopt(p[1], SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on));
    CHECK(recv_all(p[1], got, sizeof got) && matches(got, sizeof got, 0, 3));
    SAY(send(p[1], got, 1, 0));
    join(&waits);
    stamped(p);
}

SCENARIO(time_stamps_from_the_listener)
{
    int l = listening(AF_INET, 1), on = 1, p[2];
    SAY(setsockopt(l, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
    p[0] = dialled(AF_INET, port_of(l));
    p[1] = (int)MUST(accept(l, NULL, NULL));
    warm_up(p);
    stamped(p);
}

/* Completions of zero-copy sends come by the error queue. */
SCENARIO(zero_copy)
{
    int p[2], on = 1;
    static char bytes[100000];
    in_use(p);
    SAY(send(p[0], bytes, 10, MSG_ZEROCOPY)); /* not asked for: an ordinary send */
    SAY(setsockopt(p[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on));
    for (int i = 0; i < 3; i++)
        SAY(send(p[0], bytes, 20000, MSG_ZEROCOPY));
    CHECK(recv_all(p[1], bytes, 60010));
    unsigned done = 0;
    for (int turns = 0; done < 3 && turns < 100; turns++) {
        struct pollfd f = {p[0], 0, 0};
        MUST(poll(&f, 1, 50));
        char room[256];
        struct msghdr m = {.msg_control = room, .msg_controllen = sizeof room};
        if (recvmsg(p[0], &m, MSG_ERRQUEUE) < 0)
            continue;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        CHECK(c && c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR);
        struct sock_extended_err *e = (void *)CMSG_DATA(c);
        CHECK(e->ee_errno == 0 && e->ee_origin == SO_EE_ORIGIN_ZEROCOPY && e->ee_info <= e->ee_data);
        done = e->ee_data + 1;
    }
    SAY(done);
    goes_on(p);
}

/* A filter cuts what comes in: the bytes of a whole packet are lost, and TCP sends them again when it is gone. */
SCENARIO(packet_filter)
{
    int p[2];
    in_use(p);
    struct sock_filter none[] = {{BPF_RET | BPF_K, 0, 0, 0}};
    struct sock_fprog program = {1, none};
    SAY(setsockopt(p[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    MUST(send(p[0], "f", 1, 0));
    struct pollfd f = {p[1], POLLIN, 0};
    SAY(poll(&f, 1, 100));
    SAY(setsockopt(p[1], SOL_SOCKET, SO_DETACH_FILTER, &program, sizeof program));
    SAY(poll(&f, 1, 5000));
    goes_on(p);
}

SCENARIO(bytes_left_to_read)
{
    enum { TCP_INQ_OPTION = 36 };
    int p[2], on = 1;
    in_use(p);
    SAY(setsockopt(p[1], IPPROTO_TCP, TCP_INQ_OPTION, &on, sizeof on));
    static char bytes[200];
    MUST(send(p[0], bytes, sizeof bytes, 0));
    await_bytes(p[1], sizeof bytes);
    receive_with_control(p[1], true);
}

SCENARIO(place_to_peek_at)
{
    int p[2], at = 2;
    char buf[8] = "";
    in_use(p);
    MUST(send(p[0], "abcdef", 6, 0));
    await_bytes(p[1], 6);
    struct worker waits;
    begin(&waits, wait_for_byte, (void *)(intptr_t)p[0]);
    SAY(setsockopt(p[1], SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at));
    await_bytes(p[1], 6);
    SAY(recv(p[1], buf, 2, MSG_PEEK));
    show("peeked", buf, 2);
    SAY(recv(p[1], buf, 2, MSG_PEEK));
    show("peeked", buf, 2);
    SAY(recv(p[1], buf, 6, 0));
    show("read", buf, 6);
    SAY(send(p[1], buf, 1, 0));
    join(&waits);
}

SCENARIO(protocol_above)
{
    int p[2];
    in_use(p);
    SAY(setsockopt(p[0], IPPROTO_TCP, TCP_ULP, "nothing", 7));
    goes_on(p);
}

SCENARIO(interfaces)
{
    int p[2];
    in_use(p);
    struct ifreq r = {.ifr_name = "lo"};
    SAY(ioctl(p[0], SIOCGIFINDEX, &r));
    SAY(r.ifr_ifindex);
    SAY(ioctl(p[0], SIOCGIFMTU, &r));
    SAY(r.ifr_mtu);
    SAY(ioctl(p[0], SIOCGIFFLAGS, &r));
    SAY(r.ifr_flags & IFF_LOOPBACK);
    SAY(ioctl(p[0], SIOCGIFADDR, &r));
    SAY(ntohl(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr));
    char room[4096];
    struct ifconf all = {.ifc_len = sizeof room, .ifc_buf = room};
    SAY(ioctl(p[0], SIOCGIFCONF, &all));
    SAY(all.ifc_len > 0);
    memset(r.ifr_name, 'x', 8);
    SAY(ioctl(p[0], SIOCGIFINDEX, &r));
    goes_on(p);
}

/* What files can do and sockets can't. */
SCENARIO(not_a_file)
{
    int p[2], q[2];
    char c = 0;
    in_use(p);
    MUST(pipe(q));
    struct stat s;
    SAY(fstat(p[0], &s));
    SAY(S_ISSOCK(s.st_mode));
    SAY(isatty(p[0]));
    SAY(lseek(p[0], 0, SEEK_SET));
    SAY(ftruncate(p[0], 0));
    SAY(fsync(p[0]));
    SAY(pread(p[0], &c, 1, 0));
    SAY(pwrite(p[0], &c, 1, 0));
    SAY(tee(p[0], q[1], 1, 0));
    SAY(tee(q[0], p[0], 1, 0));
    SAY(mmap(NULL, 4096, PROT_READ, MAP_SHARED, p[0], 0) == MAP_FAILED);
    SAY(fchdir(p[0]));
    SAY(ioctl(p[0], 0x5413, &s)); /* TIOCGWINSZ */
    goes_on(p);
}

SCENARIO(owners_and_leases)
{
    int p[2], owner = 0;
    in_use(p);
    SAY(fcntl(p[0], F_SETOWN, getpid()));
    SAY(fcntl(p[0], F_GETOWN) == getpid());
    SAY(fcntl(p[0], F_SETSIG, SIGUSR1));
    SAY(fcntl(p[0], F_GETSIG));
    SAY(ioctl(p[0], 0x8903, &owner)); /* FIOGETOWN */
    SAY(owner == getpid());
    SAY(fcntl(p[0], F_GETFD));
    SAY(fcntl(p[0], F_SETFD, FD_CLOEXEC));
    SAY(fcntl(p[0], F_GETFD));
    SAY(fcntl(p[0], F_GETLEASE));
    SAY(fcntl(p[0], F_SETPIPE_SZ, 4096));
    goes_on(p);
}

/* Privileges that are given up while a connection is in use: it, and new ones, go on. */
SCENARIO(another_user)
{
    int p[2], q[2];
    in_use(p);
    if (getuid() == 0) {
        MUST(setgid(65534));
        MUST(setuid(65534));
    }
    goes_on(p);
    in_use(q);
    goes_on(q);
    int status, pid = (int)MUST(fork());
    if (pid == 0) {
        char c;
        _exit(recv(q[0], &c, 1, 0) == 1 && send(q[0], &c, 1, 0) == 1 ? 5 : 6);
    }
    char c = 'u';
    MUST(send(q[1], &c, 1, 0));
    MUST(waitpid(pid, &status, 0));
    SAY(WEXITSTATUS(status));
    SAY(recv(q[1], &c, 1, 0));
    goes_on(p);
}

static void waited(const char *what, int64_t least_us, int64_t started)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t us = now.tv_sec * 1000000 + now.tv_nsec / 1000 - started;
    say("%s: %s", what, us < least_us ? "too short" : us > least_us + 1000000 ? "too long" : "in time");
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Time-outs of less than a millisecond are kept too, none is ended early. */
SCENARIO(short_times)
{
    int p[2], ep = (int)MUST(epoll_create1(0));
    in_use(p);
    struct epoll_event e = {.events = EPOLLIN};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    static const long times[] = {1, 50, 300, 1500};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct timespec t = {0, times[i] * 1000};
        struct timeval v = {0, times[i]};
        struct pollfd f = {p[0], POLLIN, 0};
        fd_set set;
        FD_ZERO(&set);
        FD_SET(p[0], &set);
        int64_t at = now_us();
        SAY(ppoll(&f, 1, &t, NULL));
        waited("ppoll", times[i], at);
        at = now_us();
        SAY(epoll_pwait2(ep, &e, 1, &t, NULL));
        waited("epoll_pwait2", times[i], at);
        at = now_us();
        SAY(select(p[0] + 1, &set, NULL, NULL, &v));
        waited("select", times[i], at);
        FD_SET(p[0], &set);
        at = now_us();
        SAY(pselect(p[0] + 1, &set, NULL, NULL, &t, NULL));
        waited("pselect", times[i], at);
    }
}
