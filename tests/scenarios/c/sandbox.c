/* seccomp: processes that forbid themselves all system calls but the very ones they make. */
#include "scenario.h"
#include "sets.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

enum { BY_PRCTL, BY_SECCOMP, BYTES = 40000 };

/* From here on bytes, waits and the end; a socket is refused, `lax`: made. Anything else kills. */
static void forbid(int way, bool lax)
{
    static const unsigned allowed[] = {
        SYS_read, SYS_write, SYS_poll, SYS_epoll_wait, SYS_epoll_ctl, SYS_shutdown, SYS_close, SYS_exit_group,
    };
    struct sock_filter code[32], *p = code;
    *p++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        *p++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        *p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    *p++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 1);
    *p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES);
    *p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, lax ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS);
    if (lax)
        p[-2].k = SECCOMP_RET_ALLOW;
    struct sock_fprog filter = {(unsigned short)(p - code), code};
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (way == BY_PRCTL)
        MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0));
    else
        MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter));
}

static void read_all(int fd, char *buf, size_t n)
{
    for (ssize_t r; n; buf += r, n -= (size_t)r)
        if ((r = read(fd, buf, n)) <= 0) {
            say("BROKEN: the stream ended");
            _exit(9);
        }
}

static void echo(int fd)
{
    char buf[4096];
    for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0;)
        if (write(fd, buf, (size_t)n) != n)
            _exit(8);
}

static bool ask(int fd, const char *text)
{
    char buf[64];
    size_t n = strlen(text);
    MUST(write(fd, text, n));
    read_all(fd, buf, n);
    return memcmp(buf, text, n) == 0;
}

static void served_by(int way, bool lax)
{
    int p[2];
    tcp_pair(p);
    int pid = (int)MUST(fork());
    if (pid == 0) {
        close(p[0]);
        forbid(way, lax);
        echo(p[1]);
        MUST(write(p[1], socket(AF_INET, SOCK_STREAM, 0) < 0 ? "no" : "go", 2));
        _exit(3);
    }
    char buf[4];
    SAY(close(p[1]));
    SAY(ask(p[0], "hello"));
    SAY(ask(p[0], "again"));
    SAY(shutdown(p[0], SHUT_WR));
    read_all(p[0], buf, 2);
    show("a socket", buf, 2);
    reap(pid);
    SAY(read(p[0], buf, 1));
}

SCENARIO(filtered_child)
{
    served_by(BY_PRCTL, false);
    served_by(BY_SECCOMP, false);
}

SCENARIO(filtered_a_little)
{
    served_by(BY_PRCTL, true);
    int pid = (int)MUST(fork());
    if (pid == 0) { /* what comes later is the kernel's as well */
        int p[2];
        forbid(BY_SECCOMP, true);
        tcp_pair(p);
        warm_up(p);
        SAY(write(p[0], "late", 4));
        close(p[0]);
        char buf[8];
        SAY(read(p[1], buf, 8));
        SAY(read(p[1], buf, 8));
        _exit(0);
    }
    reap(pid);
}

/* What was on its way when the filter came. */
SCENARIO(filtered_with_unread_bytes)
{
    int p[2], ready[2];
    static char data[BYTES], back[BYTES];
    fill(data, BYTES, 0, 7);
    tcp_pair(p);
    MUST(pipe(ready));
    int pid = (int)MUST(fork());
    if (pid == 0) {
        char c;
        close(p[0]);
        MUST(read(ready[0], &c, 1));
        await_bytes(p[1], BYTES);
        MUST(write(p[1], "before", 6));
        forbid(BY_PRCTL, false);
        echo(p[1]);
        _exit(0);
    }
    MUST(close(p[1]));
    SAY(write(p[0], data, BYTES));
    MUST(write(ready[1], "x", 1));
    read_all(p[0], back, 6);
    show("first", back, 6);
    read_all(p[0], back, BYTES);
    SAY(memcmp(back, data, BYTES));
    SAY(ask(p[0], "and on"));
    SAY(shutdown(p[0], SHUT_WR));
    SAY(read(p[0], back, 1));
    reap(pid);
}

SCENARIO(filtered_with_a_set)
{
    int p[2], ready[2];
    tcp_pair(p);
    MUST(pipe(ready));
    int pid = (int)MUST(fork());
    if (pid == 0) {
        char buf[8];
        close(p[0]);
        int ep = (int)MUST(epoll_create1(0));
        SAY(add(ep, p[1], EPOLLIN | EPOLLOUT));
        SAY(change(ep, p[1], EPOLLIN));
        look("nothing yet", ep, 0);
        forbid(BY_PRCTL, false);
        say("filtered");
        MUST(write(ready[1], "x", 1));
        look("readable", ep, 5000);
        SAY(read(p[1], buf, 8));
        look("read", ep, 0);
        SAY(change(ep, p[1], EPOLLOUT));
        look("writable", ep, 5000);
        SAY(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
        look("gone", ep, 0);
        _exit(0);
    }
    char c;
    close(p[1]);
    MUST(read(ready[0], &c, 1));
    MUST(write(p[0], "go", 2));
    reap(pid);
    SAY(read(p[0], &c, 1));
}

/* Who only asks what there is goes on as before. */
SCENARIO(asked_about_filters)
{
    int p[2];
    unsigned action = SECCOMP_RET_ERRNO;
    tcp_pair(p);
    SAY(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    SAY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, null, 0, 0));
    SAY(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    SAY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, null));
    SAY(syscall(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
    warm_up(p);
    SAY(write(p[0], "on", 2));
    char buf[8];
    SAY(read(p[1], buf, 8));
}
