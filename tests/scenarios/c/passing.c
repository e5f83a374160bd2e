/* Connections in use that go where nobody can follow them: to other programs, into stdio, through calls that only the
 * kernel serves, into sets that somebody waits for as for a descriptor. Nothing is lost on the way. */
#include "scenario.h"


static char self[PATH_MAX];

static void warm_pair(int pair[2])
{
    tcp_pair(pair);
    warm_up(pair);
}

/* A thread that waits for a byte: whoever owes the other end something can be reached there. */
static void wait_for_byte(void *fd)
{
    char c;
    MUST(recv((int)(intptr_t)fd, &c, 1, 0));
}

/* In other programs, which say what they saw by their exit status. */
#define OR_EXIT(fact, status)                                                                                          \
    do {                                                                                                               \
        if (!(fact))                                                                                                   \
            _exit(status);                                                                                             \
    } while (0)

static void check_stream(int fd, int n, int seed)
{
    static char buf[1 << 20];
    OR_EXIT(recv_all(fd, buf, (size_t)n), 11);
    OR_EXIT(matches(buf, (size_t)n, 0, (unsigned)seed), 12);
}

HELPER(read_what_was_left)
{
    int fd = atoi(scenario_argv[2]), n = atoi(scenario_argv[3]);
    check_stream(fd, n, 7);
    OR_EXIT(send_all(fd, "k", 1), 13);
    char c;
    OR_EXIT(recv_all(fd, &c, 1) && c == 'z', 14);
    OR_EXIT(send_all(fd, "l", 1), 15);
    _exit(0);
}

HELPER(read_what_was_passed)
{
    int way = atoi(scenario_argv[2]);
    char byte, room[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    MUST(recvmsg(way, &m, 0));
    int fd = *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m));
    check_stream(fd, atoi(scenario_argv[3]), 7);
    OR_EXIT(send_all(fd, "k", 1), 16);
    _exit(0);
}

static int start_helper(const char *helper, int fd, int n, bool plain)
{
    char number[16], count[16];
    snprintf(number, sizeof number, "%d", fd);
    snprintf(count, sizeof count, "%d", n);
    self[MUST(readlink("/proc/self/exe", self, sizeof self - 1))] = 0;
    int pid = (int)MUST(fork());
    if (pid == 0) {
        if (plain)
            unsetenv("LD_PRELOAD");
        execl(self, self, helper, number, count, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void exec_with_unread(int n, bool plain)
{
    int p[2];
    static char buf[1 << 20];
    struct worker waits;
    warm_pair(p);
    fill(buf, (size_t)n, 0, 7);
    CHECK(send_all(p[0], buf, (size_t)n));
    begin(&waits, wait_for_byte, (void *)(intptr_t)p[0]);
    int pid = start_helper("read_what_was_left", p[1], n, plain);
    join(&waits);
    CHECK(send_all(p[0], "z", 1));
    wait_for_byte((void *)(intptr_t)p[0]);
    reap(pid);
    SAY(close(p[1]));
    SAY(recv(p[0], buf, 1, 0));
}

SCENARIO(new_image_reads_what_was_unread)
{
    exec_with_unread(0, false);
    exec_with_unread(1, false);
    exec_with_unread(5000, false);
    exec_with_unread(200000, false);
}

SCENARIO(plain_image_reads_what_was_unread)
{
    exec_with_unread(1, true);
    exec_with_unread(200000, true);
}

HELPER(read_to_the_end)
{
    int fd = atoi(scenario_argv[2]), n = atoi(scenario_argv[3]);
    char c;
    check_stream(fd, n, 7);
    OR_EXIT(recv(fd, &c, 1, 0) == 0, 17);
    OR_EXIT(send_all(fd, "k", 1), 18);
    _exit(0);
}

/* The sender has said all and ended its direction, and nothing of it is left that could be asked for more. */
static void exec_after_the_end(int n, bool closed, int room)
{
    int p[2];
    static char buf[1 << 20];
    warm_pair(p);
    if (room)
        MUST(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room));
    MUST(fcntl(p[0], F_SETFD, FD_CLOEXEC));
    fill(buf, (size_t)n, 0, 7);
    CHECK(send_all(p[0], buf, (size_t)n));
    SAY(closed ? close(p[0]) : shutdown(p[0], SHUT_WR));
    int pid = start_helper("read_to_the_end", p[1], n, true);
    if (!closed) {
        wait_for_byte((void *)(intptr_t)p[0]);
        if (room) {
            socklen_t len = sizeof room;
            SAY(getsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &room, &len));
            SAY(room);
        }
    }
    reap(pid);
    SAY(close(p[1]));
    if (!closed)
        SAY(recv(p[0], buf, 1, 0));
}

SCENARIO(plain_image_reads_what_an_ended_sender_left)
{
    exec_after_the_end(5000, false, 0);
    exec_after_the_end(200000, false, 0);
    exec_after_the_end(1 << 20, false, 0);
    exec_after_the_end(90000, false, 30000);
    exec_after_the_end(5000, true, 0);
    exec_after_the_end(200000, true, 0);
    exec_after_the_end(1 << 20, true, 0);
}

static void pass(int n, bool many, bool plain)
{
    int p[2], way[2];
    static char buf[1 << 20];
    struct worker waits;
    warm_pair(p);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
    MUST(fcntl(way[1], F_SETFD, FD_CLOEXEC));
    MUST(fcntl(p[0], F_SETFD, FD_CLOEXEC));
    MUST(fcntl(p[1], F_SETFD, FD_CLOEXEC));
    int pid = start_helper("read_what_was_passed", way[0], n, plain);
    fill(buf, (size_t)n, 0, 7);
    CHECK(send_all(p[0], buf, (size_t)n));
    begin(&waits, wait_for_byte, (void *)(intptr_t)p[0]);
    char room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {"f", 1};
    struct mmsghdr m = {{.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room}, 0};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m.msg_hdr);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &p[1], sizeof(int));
    if (many)
        SAY(sendmmsg(way[1], &m, 1, 0));
    else
        SAY(sendmsg(way[1], &m.msg_hdr, 0));
    SAY(close(p[1]));
    join(&waits);
    reap(pid);
    SAY(recv(p[0], buf, 1, 0));
}

SCENARIO(passed_to_a_plain_program)
{
    pass(0, false, true);
    pass(3, false, true);
    pass(100000, false, true);
    pass(700, true, true);
}

SCENARIO(passed_to_a_program_of_the_same_kind)
{
    pass(0, false, false);
    pass(3, false, false);
    pass(100000, false, false);
    pass(700, true, false);
}

SCENARIO(stdio)
{
    int p[2];
    char line[64] = "";
    warm_pair(p);
    CHECK(send_all(p[0], "already there\n", 14));
    struct worker waits;
    begin(&waits, wait_for_byte, (void *)(intptr_t)p[0]);
    FILE *f = fdopen(p[1], "r+");
    SAY(fgets(line, sizeof line, f) != NULL);
    CHECK(strcmp(line, "already there\n") == 0);
    SAY(fprintf(f, "x"));
    SAY(fflush(f));
    join(&waits);
    CHECK(send_all(p[0], "more\n", 5));
    SAY(fgets(line, sizeof line, f) != NULL);
    CHECK(strcmp(line, "more\n") == 0);
    SAY(dprintf(p[0], "%d\n", 12345));
    SAY(fgets(line, sizeof line, f) != NULL);
    CHECK(strcmp(line, "12345\n") == 0);
    SAY(fclose(f));
    SAY(recv(p[0], line, 1, 0));
}

SCENARIO(splice_both_ways)
{
    int p[2], q[2];
    char buf[16] = "";
    warm_pair(p);
    MUST(pipe(q));
    CHECK(send_all(p[0], "ring", 4));
    struct worker waits;
    begin(&waits, wait_for_byte, (void *)(intptr_t)p[0]);
    SAY(splice(p[1], NULL, q[1], NULL, 4, 0));
    SAY(read(q[0], buf, 4));
    CHECK(memcmp(buf, "ring", 4) == 0);
    MUST(write(q[1], "pipe", 4));
    SAY(splice(q[0], NULL, p[1], NULL, 4, 0));
    join(&waits);
    CHECK(recv_all(p[0], buf, 3) && memcmp(buf, "ipe", 3) == 0);
}

SCENARIO(many_messages_at_once)
{
    int p[2];
    char a[4] = "", b[4] = "";
    warm_pair(p);
    struct iovec one = {"abc", 3}, two = {"def", 3}, in = {a, 3}, in_two = {b, 3};
    struct mmsghdr out[2] = {{{.msg_iov = &one, .msg_iovlen = 1}, 0}, {{.msg_iov = &two, .msg_iovlen = 1}, 0}};
    SAY(sendmmsg(p[0], out, 2, 0));
    struct mmsghdr got[2] = {{{.msg_iov = &in, .msg_iovlen = 1}, 0}, {{.msg_iov = &in_two, .msg_iovlen = 1}, 0}};
    await_bytes(p[1], 6);
    SAY(recvmmsg(p[1], got, 2, 0, NULL));
    CHECK(memcmp(a, "abc", 3) == 0 && memcmp(b, "def", 3) == 0);
    CHECK(send_all(p[1], "back", 4));
    CHECK(recv_all(p[0], a, 4) && memcmp(a, "back", 4) == 0);
}

SCENARIO(vectors_at_no_offset)
{
    int p[2];
    char a[4] = "";
    struct iovec out = {"abcd", 4}, in = {a, 4};
    warm_pair(p);
    SAY(pwritev2(p[0], &out, 1, -1, 0));
    SAY(preadv2(p[1], &in, 1, -1, 0));
    CHECK(memcmp(a, "abcd", 4) == 0);
    SAY(pwritev2(p[0], &out, 1, 0, 0));
    SAY(preadv2(p[1], &in, 1, 0, 0));
}

SCENARIO(sets_within_sets)
{
    int p[2], inner = (int)MUST(epoll_create1(0)), outer = (int)MUST(epoll_create1(0));
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 1}, got = {0};
    char c;
    warm_pair(p);
    SAY(epoll_ctl(inner, EPOLL_CTL_ADD, p[1], &e));
    e.data.u64 = 2;
    SAY(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &e));
    SAY(epoll_wait(outer, &got, 1, 0));
    SAY(send(p[0], "x", 1, 0));
    SAY(epoll_wait(outer, &got, 1, 1000));
    SAY((long)got.data.u64);
    SAY(readable(inner, 1000));
    SAY(epoll_wait(inner, &got, 1, 0));
    SAY((long)got.data.u64);
    SAY(recv(p[1], &c, 1, 0));
    SAY(epoll_wait(outer, &got, 1, 0));
    SAY(readable(inner, 0));
}

SCENARIO(poll_on_a_set)
{
    int p[2], set = (int)MUST(epoll_create1(0));
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 1};
    char c;
    warm_pair(p);
    SAY(epoll_ctl(set, EPOLL_CTL_ADD, p[1], &e));
    SAY(readable(set, 0));
    SAY(send(p[0], "x", 1, 0));
    SAY(readable(set, 1000));
    SAY(recv(p[1], &c, 1, 0));
    SAY(readable(set, 0));
}

SCENARIO(urgent_data_in_use)
{
    int p[2], at = -1;
    char buf[8] = "";
    warm_pair(p);
    CHECK(send_all(p[0], "ab", 2));
    SAY(send(p[0], "U", 1, MSG_OOB));
    CHECK(send_all(p[0], "cd", 2));
    struct pollfd f = {p[1], POLLPRI, 0};
    SAY(poll(&f, 1, 1000));
    await_bytes(p[1], 2); /* as far as the mark */
    SAY(recv(p[1], buf, sizeof buf, 0));
    SAY(ioctl(p[1], SIOCATMARK, &at));
    SAY(at);
    SAY(recv(p[1], buf, 1, MSG_OOB));
    show("urgent", buf, 1);
    SAY(recv(p[1], buf, sizeof buf, 0));
    show("rest", buf, 2);
}

/* As much as the kernel keeps for a reader that does not read, and not a byte lost. */
SCENARIO(writer_ahead_of_its_reader)
{
    int p[2];
    static char buf[1 << 16];
    long ahead = 0, n;
    warm_pair(p);
    nonblocking(p[0], true);
    fill(buf, sizeof buf, 0, 3);
    while (ahead < 400000 && (n = send(p[0], buf + ahead % (long)sizeof buf, sizeof buf - (size_t)(ahead % (long)sizeof buf), 0)) > 0)
        ahead += n;
    SAY(ahead >= 200000);
    long back = 0;
    bool right = true;
    static char in[1 << 16];
    while (back < ahead) {
        long want = (long)sizeof in - back % (long)sizeof in;
        if (want > ahead - back)
            want = ahead - back;
        right &= recv_all(p[1], in, (size_t)want) && memcmp(in, buf + back % (long)sizeof in, (size_t)want) == 0;
        back += want;
    }
    SAY(right);
    nonblocking(p[1], true);
    SAY(recv(p[1], in, 1, 0));
}

SCENARIO(splice_refusals)
{
    int p[2], q[2];
    char buf[8];
    off64_t at = 0;
    signal(SIGPIPE, SIG_IGN);
    warm_pair(p);
    MUST(pipe(q));
    SAY(splice(p[1], &at, q[1], NULL, 4, 0));
    SAY(splice(q[0], NULL, p[1], &at, 4, 0));
    SAY(splice(q[0], NULL, p[1], NULL, 4, SPLICE_F_NONBLOCK));
    SAY(splice(p[1], NULL, q[1], NULL, 0, 0));
    nonblocking(p[1], true);
    SAY(splice(p[1], NULL, q[1], NULL, 4, 0));
    CHECK(send_all(p[0], "last", 4));
    SAY(shutdown(p[0], SHUT_WR));
    CHECK(readable(p[1], 1000) == 1);
    SAY(splice(p[1], NULL, q[1], NULL, 8, SPLICE_F_MOVE | SPLICE_F_MORE));
    SAY(read(q[0], buf, 8));
    SAY(splice(p[1], NULL, q[1], NULL, 8, 0));
    SAY(write(q[1], "gone", 4));
    SAY(splice(q[0], NULL, p[0], NULL, 4, 0));
}
