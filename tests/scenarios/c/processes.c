/* fork: what children inherit, from whom, and when. */
#include "scenario.h"

#include <sys/prctl.h>

SCENARIO(child_inherits_listener)
{
    int l = listening(AF_INET, 8), pid = (int)MUST(fork());
    if (pid == 0) {
        int fd = (int)MUST(accept(l, NULL, NULL));
        echo_until_end(fd);
        _exit(3);
    }
    int c = dialled(AF_INET, port_of(l));
    SAY(echoes(c, "to the child"));
    SAY(close(c));
    reap(pid);
}

SCENARIO(child_inherits_connection)
{
    for (int side = 0; side < 2; side++) {
        int p[2];
        char c;
        tcp_pair(p);
        int pid = (int)MUST(fork());
        if (pid == 0) {
            MUST(close(p[side]));
            echo_until_end(p[!side]);
            _exit(0);
        }
        SAY(close(p[!side]));
        SAY(echoes(p[side], "hello"));
        SAY(echoes(p[side], "again"));
        SAY(shutdown(p[side], SHUT_WR));
        SAY(recv(p[side], &c, 1, 0));
        reap(pid);
        SAY(recv(p[side], &c, 1, 0));
    }
}

SCENARIO(both_sides_share)
{
    int p[2], pipes[2];
    char buf[32];
    tcp_pair(p);
    MUST(pipe(pipes));
    int pid = (int)MUST(fork());
    if (pid == 0) {
        MUST(read(pipes[0], buf, 1));
        bool fine = recv_all(p[1], buf, 4) && memcmp(buf, "efgh", 4) == 0; /* the parent has read the first half */
        fine &= send_all(p[0], "from the child", 14);
        MUST(fcntl(p[0], F_SETFL, O_NONBLOCK)); /* a status flag belongs to both */
        _exit(fine ? 0 : 1);
    }
    SAY(send(p[0], "abcdefgh", 8, 0));
    SAY(recv(p[1], buf, 4, MSG_WAITALL));
    MUST(write(pipes[1], "x", 1));
    reap(pid);
    show("parent", buf, SAY(recv(p[1], buf, 14, MSG_WAITALL)));
    SAY(fcntl(p[0], F_GETFL) & O_NONBLOCK);
    SAY(recv(p[0], buf, 1, 0));
    SAY(close(p[0]));
    SAY(recv(p[1], buf, 1, 0));
}

SCENARIO(last_close_is_the_childs)
{
    int p[2], pipes[2];
    char c;
    tcp_pair(p);
    MUST(pipe(pipes));
    int pid = (int)MUST(fork());
    if (pid == 0) {
        close(p[1]);
        MUST(read(pipes[0], &c, 1));
        _exit(0); /* closes p[0] */
    }
    SAY(close(p[0]));
    SAY(readable(p[1], 20)); /* the child still has it */
    MUST(write(pipes[1], "x", 1));
    reap(pid);
    SAY(readable(p[1], 5000));
    SAY(recv(p[1], &c, 1, 0));
}

SCENARIO(accept_then_fork_server)
{
    int l = listening(AF_INET, 32), port = port_of(l), server = (int)MUST(fork());
    if (server == 0) {
        signal(SIGCHLD, SIG_IGN);
        for (int i = 0; i < 20; i++) {
            int fd = (int)MUST(accept(l, NULL, NULL));
            if (fork() == 0) {
                close(l);
                echo_until_end(fd);
                _exit(0);
            }
            close(fd);
        }
        while (wait(NULL) > 0) /* children that end by themselves: it fails when the last one has */
            ;
        _exit(0);
    }
    MUST(close(l));
    int right = 0;
    char c;
    for (int i = 0; i < 20; i++) {
        int fd = dialled(AF_INET, port);
        right += echoes(fd, "one") && echoes(fd, "two");
        MUST(shutdown(fd, SHUT_WR));
        right += recv(fd, &c, 1, 0) == 0;
        close(fd);
    }
    SAY(right);
    reap(server);
}

SCENARIO(prefork_server)
{
    enum { WORKERS = 4 };
    int l = listening(AF_INET, 64), port = port_of(l), pids[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        pids[i] = (int)MUST(fork());
        if (pids[i] == 0)
            for (int fd; (fd = accept(l, NULL, NULL)) >= 0;) {
                echo_until_end(fd);
                close(fd);
            }
    }
    MUST(close(l));
    int right = 0, fds[WORKERS * 2];
    for (int i = 0; i < WORKERS; i++) { /* one for each worker at the same time */
        fds[i] = dialled(AF_INET, port);
        right += echoes(fds[i], "first");
    }
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < WORKERS; i++)
            right += echoes(fds[i], "more");
    for (int i = 0; i < WORKERS; i++)
        MUST(close(fds[i]));
    SAY(right);
    for (int i = 0; i < WORKERS; i++) {
        MUST(kill(pids[i], SIGTERM));
        reap(pids[i]);
    }
}

struct chat {
    int fd[2];
    _Atomic int stop, rounds, wrong;
};

static void chatter(void *arg)
{
    struct chat *c = arg;
    char buf[64];
    while (!c->stop) {
        c->wrong += !send_all(c->fd[0], "chat", 4) || !recv_all(c->fd[1], buf, 4);
        c->rounds++;
    }
}

SCENARIO(fork_under_traffic)
{
    static struct chat chats[3];
    struct worker w[3];
    int wrong = 0;
    for (int i = 0; i < 3; i++) {
        tcp_pair(chats[i].fd);
        begin(&w[i], chatter, &chats[i]);
    }
    for (int i = 0; i < 60; i++) {
        int pid = (int)MUST(fork()), status;
        if (pid == 0) {
            int p[2];
            char c;
            tcp_pair(p); /* the child uses sockets of its own at once */
            bool fine = send(p[0], "y", 1, 0) == 1 && recv(p[1], &c, 1, 0) == 1 && c == 'y';
            _exit(fine ? 0 : 1);
        }
        MUST(waitpid(pid, &status, 0));
        wrong += status != 0;
    }
    for (int i = 0; i < 3; i++)
        chats[i].stop = 1;
    for (int i = 0; i < 3; i++) {
        join(&w[i]);
        wrong += chats[i].wrong;
        CHECK(chats[i].rounds > 0);
    }
    SAY(wrong);
}

static void blocked(void *arg)
{
    char c;
    ssize_t n = recv(*(int *)arg, &c, 1, 0);
    if (n != 1)
        say("BROKEN: woken by %zd", n);
}

SCENARIO(fork_beside_a_blocked_thread)
{
    int p[2], q[2];
    tcp_pair(p);
    tcp_pair(q);
    struct worker w;
    begin(&w, blocked, &p[1]);
    await_sleep(w.tid);
    for (int i = 0; i < 10; i++) {
        int pid = (int)MUST(fork()), status;
        if (pid == 0) {
            char c;
            bool fine = send(q[0], "z", 1, 0) == 1 && recv(q[1], &c, 1, 0) == 1;
            fine &= recv(p[1], &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
            _exit(fine ? 0 : 1);
        }
        MUST(waitpid(pid, &status, 0));
        if (status)
            say("BROKEN: status %x", (unsigned)status);
    }
    SAY(send(p[0], "x", 1, 0));
    join(&w);
}

/* The parent's thread sleeps on the connection; that is no reason for the child to keep its copy. */
SCENARIO(child_closes_what_the_parent_sleeps_on)
{
    int p[2], go[2];
    char c = 0;
    tcp_pair(p);
    MUST(pipe(go));
    struct worker w;
    begin(&w, blocked, &p[1]);
    await_sleep(w.tid);
    int pid = (int)MUST(fork());
    if (pid == 0) {
        bool fine = close(p[1]) == 0 && close(p[0]) == 0 && read(go[0], &c, 1) == 1;
        _exit(fine ? 0 : 1);
    }
    SAY(send(p[0], "x", 1, 0));
    join(&w);
    SAY(close(p[1]));
    SAY(readable(p[0], 2000));
    SAY(recv(p[0], &c, 1, MSG_DONTWAIT));
    MUST(write(go[1], "", 1));
    int status;
    MUST(waitpid(pid, &status, 0));
    SAY(status);
}

SCENARIO(grandchildren)
{
    int p[2], pid;
    char c;
    tcp_pair(p);
    if ((pid = (int)MUST(fork())) == 0) {
        int inner = (int)MUST(fork());
        if (inner == 0) {
            int deepest = (int)MUST(fork());
            if (deepest == 0) {
                close(p[0]);
                echo_until_end(p[1]);
                _exit(0);
            }
            close(p[0]);
            close(p[1]);
            _exit(waitpid(deepest, NULL, 0) == deepest ? 5 : 6);
        }
        close(p[0]);
        close(p[1]);
        int status;
        MUST(waitpid(inner, &status, 0));
        _exit(WEXITSTATUS(status) + 1);
    }
    SAY(close(p[1]));
    SAY(echoes(p[0], "deep"));
    SAY(shutdown(p[0], SHUT_WR));
    SAY(recv(p[0], &c, 1, 0));
    reap(pid);
}

SCENARIO(child_before_any_socket)
{
    int pid = (int)MUST(fork());
    if (pid == 0) {
        int p[2];
        tcp_pair(p);
        _exit(send(p[0], "x", 1, 0) == 1 ? 0 : 1);
    }
    reap(pid);
    int p[2];
    tcp_pair(p);
    SAY(send(p[0], "x", 1, 0));
}

SCENARIO(daemonised_server)
{
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1)); /* to see the daemon's end */
    int l = listening(AF_INET, 8), port = port_of(l), pid = (int)MUST(fork());
    if (pid == 0) {
        MUST(daemon(0, 0)); /* the daemon is a grandchild with its own session */
        int fd = (int)MUST(accept(l, NULL, NULL));
        echo_until_end(fd);
        _exit(0);
    }
    reap(pid);
    MUST(close(l));
    int c = dialled(AF_INET, port);
    SAY(echoes(c, "daemon"));
    SAY(echoes(c, "still there"));
    SAY(shutdown(c, SHUT_WR));
    char b;
    SAY(recv(c, &b, 1, 0));
    reap(-1);
}

SCENARIO(epoll_set_across_fork)
{
    int p[2], ep = (int)MUST(epoll_create1(0));
    struct epoll_event e = {EPOLLIN, {.u64 = 42}};
    char c;
    tcp_pair(p);
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
    int pid = (int)MUST(fork());
    if (pid == 0) {
        bool fine = epoll_wait(ep, &e, 1, 5000) == 1 && e.data.u64 == 42 && recv(p[1], &c, 1, 0) == 1;
        fine &= send(p[1], "r", 1, 0) == 1;
        _exit(fine ? 0 : 1);
    }
    SAY(send(p[0], "x", 1, 0));
    SAY(recv(p[0], &c, 1, 0));
    reap(pid);
    SAY(epoll_wait(ep, &e, 1, 0));
    SAY(send(p[0], "x", 1, 0));
    SAY(epoll_wait(ep, &e, 1, 1000));
}

static _Atomic int children_ended;
static void on_child(int signal)
{
    (void)signal;
    int error = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        children_ended++;
    errno = error;
}

SCENARIO(children_end_during_traffic)
{
    int p[2], wrong = 0;
    char buf[8];
    handle(SIGCHLD, on_child, SA_RESTART);
    tcp_pair(p);
    for (int i = 0; i < 40; i++) {
        if (MUST(fork()) == 0)
            _exit(0);
        wrong += !send_all(p[0], "ping", 4) || !recv_all(p[1], buf, 4);
        wrong += !send_all(p[1], "pong", 4) || !recv_all(p[0], buf, 4);
    }
    for (int i = 0; i < 10000 && children_ended < 40; i++)
        nap_ms(1);
    SAY(children_ended);
    SAY(wrong);
}
