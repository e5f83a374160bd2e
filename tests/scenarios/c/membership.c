/* What is in an epoll set, told by the set itself: additions and removals in quick turns, as event loops make them. */
#include "scenario.h"
#include "sets.h"

#include <sys/wait.h>

static int removed(int ep, int fd)
{
    return epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
}

SCENARIO(turns)
{
    int p[2], ep = (int)SAY(epoll_create1(EPOLL_CLOEXEC));
    char buf[8];
    tcp_pair(p);
    for (int i = 0; i < 3; i++) {
        SAY(add(ep, p[1], EPOLLOUT));
        look("to write", ep, 1000);
        SAY(removed(ep, p[1]));
        look("out", ep, 0);
        SAY(add(ep, p[1], EPOLLIN));
        look("nothing to read", ep, 0);
        send(p[0], "abc", 3, 0);
        look("to read", ep, 1000);
        SAY(recv(p[1], buf, 8, 0));
        SAY(removed(ep, p[1]));
    }
    SAY(removed(ep, p[1]));
    SAY(change(ep, p[1], EPOLLIN));
    SAY(add(ep, p[1], EPOLLIN));
    SAY(add(ep, p[1], EPOLLIN));
    SAY(change(ep, p[1], 0));
    look("nothing asked", ep, 0);
    SAY(change(ep, p[1], EPOLLIN | EPOLLOUT));
    look("both asked", ep, 1000);
}

SCENARIO(other_data)
{
    int p[2], ep = (int)SAY(epoll_create1(EPOLL_CLOEXEC));
    struct epoll_event e = {EPOLLIN, {.u64 = 5}}, got[4];
    tcp_pair(p);
    SAY(add(ep, p[1], EPOLLIN));
    SAY(removed(ep, p[1]));
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
    send(p[0], "abc", 3, 0);
    SAY(epoll_wait(ep, got, 4, 1000));
    SAY((int)got[0].data.u64);
    e.data.u64 = 6;
    SAY(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &e));
    SAY(epoll_wait(ep, got, 4, 1000));
    SAY((int)got[0].data.u64);
}

SCENARIO(end_of_a_removed_one)
{
    int p[2], ep = (int)SAY(epoll_create1(EPOLL_CLOEXEC));
    char c;
    tcp_pair(p);
    SAY(add(ep, p[1], EPOLLIN | EPOLLRDHUP));
    SAY(removed(ep, p[1]));
    SAY(send(p[0], "x", 1, 0));
    SAY(shutdown(p[0], SHUT_WR));
    CHECK(readable(p[1], 1000) == 1);
    look("removed", ep, 20);
    SAY(add(ep, p[1], EPOLLOUT));
    look("to write only", ep, 1000);
    SAY(change(ep, p[1], EPOLLIN | EPOLLRDHUP));
    look("byte and end", ep, 1000);
    SAY(recv(p[1], &c, 1, 0));
    look("end", ep, 1000);
    SAY(recv(p[1], &c, 1, 0));
    SAY(removed(ep, p[1]));
    SAY(close(p[0]));
    look("removed again", ep, 20);
    SAY(add(ep, p[1], EPOLLIN));
    look("after the end", ep, 1000);
}

SCENARIO(edges_after_removal)
{
    int p[2], ep = (int)SAY(epoll_create1(EPOLL_CLOEXEC));
    char buf[8];
    tcp_pair(p);
    SAY(add(ep, p[1], EPOLLIN));
    SAY(removed(ep, p[1]));
    send(p[0], "abc", 3, 0);
    CHECK(readable(p[1], 1000) == 1);
    SAY(add(ep, p[1], EPOLLIN | EPOLLET));
    look("edge", ep, 1000);
    look("no edge", ep, 20);
    SAY(removed(ep, p[1]));
    SAY(add(ep, p[1], EPOLLIN | EPOLLONESHOT));
    look("once", ep, 1000);
    look("not twice", ep, 20);
    SAY(removed(ep, p[1]));
    SAY(add(ep, p[1], EPOLLIN));
    look("level", ep, 1000);
    SAY(removed(ep, p[1]));
    SAY(add(ep, p[1], EPOLLIN | EPOLLEXCLUSIVE));
    look("exclusive", ep, 1000);
    SAY(recv(p[1], buf, 8, 0));
    look("idle", ep, 20);
}

SCENARIO(copies_of_a_removed_one)
{
    int p[2], ep = (int)SAY(epoll_create1(EPOLL_CLOEXEC));
    tcp_pair(p);
    int copy = (int)SAY(dup(p[1]));
    SAY(add(ep, p[1], EPOLLIN));
    SAY(add(ep, copy, EPOLLIN));
    SAY(removed(ep, p[1]));
    SAY(close(p[1]));
    send(p[0], "abc", 3, 0);
    look("the copy", ep, 1000);
    SAY(removed(ep, copy));
    look("neither", ep, 20);
    SAY(close(copy));
    look("closed", ep, 20);
}

SCENARIO(closed_while_a_child_has_it)
{
    int p[2], ep = (int)SAY(epoll_create1(EPOLL_CLOEXEC)), gate[2];
    char c;
    MUST(pipe(gate));
    tcp_pair(p);
    SAY(add(ep, p[1], EPOLLIN));
    SAY(removed(ep, p[1]));
    pid_t child = fork();
    if (child == 0) {
        close(gate[1]);
        _exit(read(gate[0], &c, 1) < 0);
    }
    close(gate[0]);
    SAY(add(ep, p[0], EPOLLIN));
    SAY(removed(ep, p[0]));
    SAY(add(ep, p[0], EPOLLIN));
    send(p[1], "ab", 2, 0);
    look("parent", ep, 1000);
    SAY(removed(ep, p[0]));
    SAY(close(p[1]));
    look("removed and closed", ep, 20);
    SAY(close(gate[1]));
    MUST(waitpid(child, NULL, 0));
    look("the child is gone", ep, 20);
}

static int changed_set, changed_fd;

static void *change_later(void *unused)
{
    usleep(50000);
    MUST(change(changed_set, changed_fd, EPOLLIN | EPOLLOUT));
    return unused;
}

SCENARIO(changed_under_a_sleeper)
{
    int p[2];
    pthread_t thread;
    changed_set = (int)SAY(epoll_create1(EPOLL_CLOEXEC));
    tcp_pair(p);
    changed_fd = p[1];
    SAY(add(changed_set, p[1], EPOLLIN | EPOLLOUT));
    look("to write", changed_set, 1000);
    SAY(change(changed_set, p[1], EPOLLIN));
    MUST(-pthread_create(&thread, NULL, change_later, NULL));
    look("changed while asleep", changed_set, 5000);
    pthread_join(thread, NULL);
}

struct early {
    int ep;
    struct epoll_event got;
    struct worker worker;
};

static void wait_early(void *about)
{
    struct early *e = about;
    MUST(epoll_wait(e->ep, &e->got, 1, 5000));
}

/* A thread waits for the set since it was empty: it hears of the second member as of the first. */
SCENARIO(members_that_come_while_somebody_waits)
{
    int p[2], q[2];
    struct early e = {.ep = (int)SAY(epoll_create1(EPOLL_CLOEXEC))};
    char c;
    tcp_pair(p);
    tcp_pair(q);
    warm_up(p);
    warm_up(q);
    begin(&e.worker, wait_early, &e);
    await_sleep(e.worker.tid);
    SAY(add(e.ep, p[1], EPOLLIN));
    SAY(add(e.ep, q[1], EPOLLIN));
    SAY(send(q[0], "q", 1, 0));
    join(&e.worker);
    CHECK(e.got.data.fd == q[1]);
    SAY(recv(q[1], &c, 1, 0));
    SAY(send(p[0], "p", 1, 0));
    SAY(epoll_wait(e.ep, &e.got, 1, 1000));
    CHECK(e.got.data.fd == p[1]);
    SAY(recv(p[1], &c, 1, 0));
    SAY(send(q[1], "z", 1, 0));
    SAY(recv(q[0], &c, 1, 0));
}
