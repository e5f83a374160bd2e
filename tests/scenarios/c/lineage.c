/* Descendants and strangers: servers whose parent and child accept, daemons with connections, numbers that are taken or passed
 * between processes, children of vfork that talk, rights that are given up, programs that end by a signal while busy. */
#include "scenario.h"

#include <pty.h>
#include <sys/prctl.h>

/* One connection at a time: whoever waits gets it; both wait for the next. */
static void serve(int l, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = (int)MUST(accept(l, NULL, NULL));
        echo_until_end(fd);
        close(fd);
    }
}

SCENARIO(parent_and_child_accept)
{
    int l = listening(AF_INET, 16), port = port_of(l);
    int server = (int)MUST(fork());
    if (server == 0) {
        int child = (int)MUST(fork());
        serve(l, 8); /* each of them eight */
        if (child == 0)
            _exit(0);
        int status;
        MUST(waitpid(child, &status, 0));
        _exit(status ? 1 : 0);
    }
    MUST(close(l));
    int right = 0;
    for (int round = 0; round < 8; round++) {
        int a = dialled(AF_INET, port), b = dialled(AF_INET, port); /* so that both have one at once */
        for (int i = 0; i < 40; i++)
            right += echoes(a, "first") + echoes(b, "second");
        MUST(close(a));
        MUST(close(b));
    }
    SAY(right);
    reap(server);
    int c = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    struct name a = loopback(AF_INET, port);
    SAY(connect(c, &a.any, a.len)); /* the last that had it is gone */
}

/* A child with a terminal of its own. */
SCENARIO(connection_of_a_child_with_a_terminal)
{
    int p[2], terminal;
    char c;
    tcp_pair(p);
    int pid = (int)MUST(forkpty(&terminal, NULL, NULL, NULL));
    if (pid == 0) {
        close(p[0]);
        echo_until_end(p[1]);
        _exit(isatty(0) ? 7 : 8);
    }
    SAY(close(p[1]));
    SAY(echoes(p[0], "to the child"));
    SAY(shutdown(p[0], SHUT_WR));
    SAY(recv(p[0], &c, 1, 0));
    reap(pid);
    SAY(close(terminal));
}

/* Forked twice, the one between is gone; each generation has used the connection. */
SCENARIO(connection_of_a_daemon)
{
    int p[2], pid;
    char c;
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1)); /* to see the daemon's end */
    tcp_pair(p);
    SAY(send(p[0], "1", 1, 0));
    if ((pid = (int)MUST(fork())) == 0) {
        MUST(close(p[0]));
        bool fine = recv(p[1], &c, 1, 0) == 1 && send(p[1], &c, 1, 0) == 1;
        if (!fine)
            _exit(1);
        MUST(daemon(1, 1));
        echo_until_end(p[1]);
        _exit(7);
    }
    SAY(recv(p[0], &c, 1, 0));
    reap(pid);
    SAY(close(p[1]));
    SAY(echoes(p[0], "to the daemon"));
    SAY(echoes(p[0], "once more"));
    SAY(shutdown(p[0], SHUT_WR));
    SAY(recv(p[0], &c, 1, 0));
    reap(-1);
}

static int pidfd(int pid)
{
    return (int)MUST(syscall(SYS_pidfd_open, pid, 0));
}

/* A number that another process takes, with what nobody has read (pidfd_getfd(2)). */
SCENARIO(taken_by_a_child)
{
    int p[2], gate[2], pid;
    char buf[16];
    MUST(pipe(gate));
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* EINVAL where nobody restricts it */
    if ((pid = (int)MUST(fork())) == 0) {
        int number;
        struct timeval second = {1, 0};
        MUST(read(gate[0], &number, sizeof number));
        int fd = (int)MUST(syscall(SYS_pidfd_getfd, pidfd(getppid()), number, 0));
        MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second));
        bool fine = recv_all(fd, buf, 6) && memcmp(buf, "unread", 6) == 0 && send_all(fd, "taken", 5);
        _exit(fine ? 0 : 1);
    }
    tcp_pair(p);
    SAY(send(p[0], "unread", 6, 0));
    MUST(write(gate[1], &p[1], sizeof p[1]));
    reap(pid);
    SAY(recv(p[0], buf, 5, MSG_DONTWAIT));
}

/* --- numbers in messages --- */
static int send_numbers(int over, const int *fds, int count)
{
    char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec iov = {"f", 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN((size_t)count * sizeof(int)), .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, (size_t)count * sizeof(int));
    return (int)sendmsg(over, &m, 0);
}

static int receive_numbers(int over, int *fds, int room, int flags)
{
    char control[CMSG_SPACE(8 * sizeof(int))], c;
    struct iovec iov = {&c, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = CMSG_LEN((size_t)room * sizeof(int))};
    MUST(recvmsg(over, &m, flags));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    int count = h ? (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
    say("%d numbers%s", count, m.msg_flags & MSG_CTRUNC ? ", truncated" : "");
    if (count)
        memcpy(fds, CMSG_DATA(h), (size_t)count * sizeof(int));
    return count;
}

SCENARIO(several_in_one_message)
{
    int p[2], way[2], l = listening(AF_INET, 4), fds[8], got[8] = {-1, -1, -1, -1};
    char buf[8];
    tcp_pair(p);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
    fds[0] = p[1];
    fds[1] = l;
    fds[2] = (int)MUST(dup(p[1]));
    SAY(send_numbers(way[0], fds, 3));
    SAY(receive_numbers(way[1], got, 8, MSG_CMSG_CLOEXEC));
    for (int i = 0; i < 3; i++) {
        say("number %d", got[i]);
        SAY(fcntl(got[i], F_GETFD));
        SAY(close(fds[i]));
    }
    SAY(send(p[0], "ab", 2, 0));
    SAY(recv(got[0], buf, 1, 0));
    SAY(recv(got[2], buf, 1, 0));
    int c = dialled(AF_INET, port_of(got[1])), s = (int)SAY(accept(got[1], NULL, NULL));
    SAY(send(c, "x", 1, 0));
    SAY(recv(s, buf, 1, 0));
    /* there is room for one: the other is closed on the way */
    SAY(send_numbers(way[0], (int[]){got[0], got[2]}, 2));
    SAY(close(got[0]));
    SAY(close(got[2]));
    SAY(receive_numbers(way[1], got, 1, 0));
    SAY(send(p[0], "c", 1, 0));
    SAY(recv(got[0], buf, 1, 0));
    SAY(close(got[0]));
    SAY(recv(p[0], buf, 1, 0));
    /* nobody receives it: it ends with the way */
    tcp_pair(p);
    SAY(send_numbers(way[0], &p[1], 1));
    SAY(close(p[1]));
    SAY(readable(p[0], 20));
    SAY(close(way[1]));
    SAY(readable(p[0], 5000));
    SAY(recv(p[0], buf, 1, 0));
    SAY(send_numbers(way[0], (int[]){-1}, 1));
}

/* --- vfork --- */
SCENARIO(vfork_child_talks)
{
    int p[2], pid;
    char buf[8];
    tcp_pair(p);
    for (int i = 0; i < 3; i++) {
        SAY(send(p[0], "ab", 2, 0));
        await_bytes(p[1], 2);
        if ((pid = (int)vfork()) == 0) {
            char c;
            bool fine = read(p[1], &c, 1) == 1 && c == 'a' && write(p[1], "child", 5) == 5;
            _exit(fine ? 0 : 1);
        }
        reap(pid);
        SAY(recv(p[1], buf, 8, 0));
        show("parent", buf, SAY(recv(p[0], buf, 8, 0)));
        SAY(send(p[1], "own", 3, 0));
        SAY(recv(p[0], buf, 8, 0));
    }
}

/* As a server does that binds as root and works as somebody else: the listener, and workers that come later. */
SCENARIO(another_user_serves)
{
    int l = listening(AF_INET, 8), port = port_of(l), server = (int)MUST(fork());
    if (server == 0) {
        if (getuid() == 0) {
            MUST(setgid(65534));
            MUST(setuid(65534));
        }
        int worker = (int)MUST(fork());
        serve(l, 1);
        if (worker == 0)
            _exit(0);
        int status;
        MUST(waitpid(worker, &status, 0));
        _exit(status ? 1 : 3);
    }
    MUST(close(l));
    int a = dialled(AF_INET, port), b = dialled(AF_INET, port), right = 0;
    for (int i = 0; i < 40; i++)
        right += echoes(a, "one") + echoes(b, "two");
    SAY(right);
    SAY(close(a));
    SAY(close(b));
    reap(server);
}

/* --- SIGINT while threads spin for each other --- */
static void volley(void *arg)
{
    int fd = *(int *)arg;
    char c;
    while (recv(fd, &c, 1, 0) == 1 && send(fd, &c, 1, MSG_NOSIGNAL) == 1)
        ;
}

static _Atomic int interrupts, *rallies;
static void on_interrupt(int signal)
{
    (void)signal;
    interrupts++;
}

SCENARIO(interrupted_while_busy)
{
    rallies = mmap(NULL, sizeof *rallies, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int handled = 0; handled < 2; handled++) {
        *rallies = 0;
        int pid = (int)MUST(fork());
        if (pid == 0) {
            int p[2];
            char c = 'b';
            struct worker w;
            handle(SIGINT, handled ? on_interrupt : SIG_DFL, 0);
            tcp_pair(p);
            begin(&w, volley, &p[1]);
            for (;;) {
                if (interrupts)
                    _exit(4);
                long r = send(p[0], &c, 1, 0);
                while ((r = recv(p[0], &c, 1, 0)) < 0 && errno == EINTR && !interrupts)
                    ;
                if (r != 1 && !(r < 0 && errno == EINTR))
                    _exit(5);
                ++*rallies;
            }
        }
        for (int i = 0; i < 10000 && *rallies < 200; i++)
            nap_ms(1);
        CHECK(*rallies >= 200);
        MUST(kill(pid, SIGINT));
        reap(pid);
    }
}
