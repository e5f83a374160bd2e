/* `ready N AMONG COUNT TRIPS`: N connections between this process and its child, all of this end's in one epoll set, each
 * used TRIPS times; then COUNT times the child sends 64 B on one of the first AMONG in turn, says so through a pipe, and
 * epoll_wait finds it. Prints the nanoseconds of each of these epoll_wait. */
#include <signal.h>
#include <sys/prctl.h>

#include "net.h"

enum { SIZE = 64 };
static char buf[SIZE];

static int far(long n, long trips, int orders, int answers)
{
    int *fds = malloc(sizeof *fds * (size_t)n);
    char port[8];
    if (!fds || !all(orders, port, sizeof port, false))
        return 1;
    for (long i = 0; i < n; i++) {
        fds[i] = connected(port);
        no_delay(fds[i], true);
        for (long k = 0; k < trips; k++)
            if (!all(fds[i], buf, SIZE, true) || !all(fds[i], buf, SIZE, false))
                return 1;
    }
    for (long at; all(orders, (char *)&at, sizeof at, false);)
        if (!all(fds[at], buf, SIZE, true) || !all(answers, buf, 1, true))
            return 1;
    return 0;
}

static int near(long n, long among, long trips, long count, int orders, int answers)
{
    int *fds = malloc(sizeof *fds * (size_t)n), ep = epoll_create1(0), listener = listening("0");
    uint64_t *took = calloc((size_t)count, sizeof *took);
    char port[8] = "";
    union address a;
    socklen_t length = sizeof a;
    getsockname(listener, &a.any, &length);
    snprintf(port, sizeof port, "%d", ntohs(a.tcp.sin_port));
    if (!fds || !took || !all(orders, port, sizeof port, true))
        return 1;
    for (long i = 0; i < n; i++) {
        fds[i] = accept(listener, NULL, NULL);
        no_delay(fds[i], true);
        for (long k = 0; k < trips; k++) /* both ends see that the connection is worth something */
            if (!all(fds[i], buf, SIZE, false) || !all(fds[i], buf, SIZE, true))
                return 1;
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){.events = EPOLLIN, .data.u64 = (uint64_t)i}))
            return 1;
    }
    for (long i = -count / 10; i < count; i++) { /* the first tenth warms up */
        struct epoll_event ready[8];
        long at = (i + count) * 7919 % among;
        if (!all(orders, (char *)&at, sizeof at, true) || !all(answers, buf, 1, false))
            return 1;
        uint64_t before = now();
        int found = epoll_wait(ep, ready, 8, -1);
        uint64_t after = now();
        if (found != 1 || ready[0].data.u64 != (uint64_t)at || !all(fds[at], buf, SIZE, false)) {
            fprintf(stderr, "ready: epoll_wait found %d, not the one that is ready\n", found);
            return 1;
        }
        if (i >= 0)
            took[i] = after - before;
    }
    for (long i = 0; i < count; i++)
        printf("%lu\n", (unsigned long)took[i]);
    return 0;
}

int main(int argc, char **argv)
{
    int orders[2], answers[2];
    if (argc != 5 || atol(argv[2]) < 1 || atol(argv[1]) < atol(argv[2]) || pipe(orders) || pipe(answers))
        return 2;
    long n = atol(argv[1]), among = atol(argv[2]), count = atol(argv[3]), trips = atol(argv[4]);
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        return 1;
    if (child) {
        close(orders[0]);
        close(answers[1]);
        return near(n, among, trips, count, orders[1], answers[0]);
    }
    close(orders[1]);
    close(answers[0]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() != parent || far(n, trips, orders[0], answers[1]);
}
