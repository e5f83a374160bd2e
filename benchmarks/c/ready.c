/* `ready N COUNT TRIPS`: N connections of this process with itself, all in one epoll set, each used TRIPS times; then
 * COUNT times, one of them in turn gets 64 B and epoll_wait finds it. Prints the nanoseconds of each of these epoll_wait. */
#include "net.h"

enum { SIZE = 64 };

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    long n = atol(argv[1]), count = atol(argv[2]), trips = atol(argv[3]);
    char buf[SIZE] = {0}, port[8];
    int *near = malloc(sizeof *near * (size_t)n), *far = malloc(sizeof *far * (size_t)n), ep = epoll_create1(0);
    uint64_t *took = calloc((size_t)count, sizeof *took);
    int listener = listening("0");
    union address a;
    socklen_t length = sizeof a;
    getsockname(listener, &a.any, &length);
    snprintf(port, sizeof port, "%d", ntohs(a.tcp.sin_port));
    if (!near || !far || !took || n < 1)
        return 1;
    for (long i = 0; i < n; i++) {
        far[i] = connected(port);
        near[i] = accept(listener, NULL, NULL);
        no_delay(far[i], true);
        no_delay(near[i], true);
        for (long k = 0; k < trips; k++) /* both ends see that the connection is worth something */
            if (!all(far[i], buf, SIZE, true) || !all(near[i], buf, SIZE, false) || !all(near[i], buf, SIZE, true) ||
                !all(far[i], buf, SIZE, false))
                return 1;
        if (epoll_ctl(ep, EPOLL_CTL_ADD, near[i], &(struct epoll_event){.events = EPOLLIN, .data.u64 = (uint64_t)i}))
            return 1;
    }
    for (long i = -count / 10; i < count; i++) { /* the first tenth warms up */
        struct epoll_event ready[8];
        long at = (i + count) * 7919 % n;
        if (!all(far[at], buf, SIZE, true))
            return 1;
        uint64_t before = now();
        int found = epoll_wait(ep, ready, 8, -1);
        uint64_t after = now();
        if (found != 1 || ready[0].data.u64 != (uint64_t)at || !all(near[at], buf, SIZE, false)) {
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
