/* `memget PORT CLIENTS COUNT`: COUNT times `get` of one 100 B value from a memcached, over as many connections as CLIENTS,
 * each asking again as soon as it is answered; one connection blocks, several wait in epoll. Prints the nanoseconds of
 * the whole, then those of each request, one a line. */
#include "net.h"

enum { MOST = 256, VALUE = 100, ROOM = 4096 };
static const char question[] = "get key\r\n";
static size_t answer; /* bytes of one */

static void put(int fd)
{
    char text[256], back[ROOM];
    int n = snprintf(text, sizeof text, "set key 0 0 %d\r\n%0*d\r\n", VALUE, VALUE, 0);
    if (!all(fd, text, (size_t)n, true) || read(fd, back, sizeof back) < 6)
        exit(1);
    answer = (size_t)snprintf(text, sizeof text, "VALUE key 0 %d\r\n%0*d\r\nEND\r\n", VALUE, VALUE, 0);
}

static void ask(int fd)
{
    if (write(fd, question, sizeof question - 1) != sizeof question - 1)
        exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int clients = atoi(argv[2]), ep = epoll_create1(0), fds[MOST];
    long count = atol(argv[3]), asked = 0, done = -count / 10; /* the first tenth warms up */
    uint64_t *took = calloc((size_t)count, sizeof *took), since[MOST], start = 0;
    size_t got[MOST] = {0};
    char buf[ROOM];
    if (clients < 1 || clients > MOST || count < clients || !took)
        return 2;
    long total = count - done;
    for (int i = 0; i < clients; i++) {
        fds[i] = connected(argv[1]);
        no_delay(fds[i], true);
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){.events = EPOLLIN, .data.u32 = (uint32_t)i});
    }
    put(fds[0]);
    for (int i = 0; i < clients; i++, asked++) {
        since[i] = now();
        ask(fds[i]);
    }
    while (done < count) {
        struct epoll_event ready[MOST];
        int n = 1;
        if (clients == 1)
            ready[0].data.u32 = 0;
        else
            n = epoll_wait(ep, ready, MOST, 10000);
        if (n <= 0)
            return 1;
        for (int k = 0; k < n; k++) {
            uint32_t i = ready[k].data.u32;
            ssize_t r = read(fds[i], buf, sizeof buf);
            if (r <= 0)
                return 1;
            got[i] += (size_t)r;
            if (got[i] < answer)
                continue;
            uint64_t at = now();
            if (got[i] > answer || buf[r - 1] != '\n')
                return 1;
            got[i] = 0;
            if (done == 0)
                start = at;
            if (done >= 0 && done < count)
                took[done] = at - since[i];
            done++;
            if (asked < total) {
                since[i] = at;
                ask(fds[i]);
                asked++;
            }
        }
    }
    printf("%lu\n", (unsigned long)(now() - start));
    for (long i = 0; i < count; i++)
        printf("%lu\n", (unsigned long)took[i]);
    return 0;
}
