/* Many connections between two processes: `idle server PORT` answers 64 B on every connection, by epoll, until told to
 * stop. `idle client PORT N TRIPS` opens one connection, asks TRIPS times on it, says `one`, waits for a line; does the
 * same with N more and says `all`; then sleeps in epoll_wait until its input ends. */
#include "net.h"

enum { SIZE = 64 };
static char buf[SIZE];

static void watch(int ep, int fd)
{
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

static int serve(const char *where)
{
    int listener = listening(where), ep = epoll_create1(0);
    struct epoll_event ready[64];
    watch(ep, listener);
    for (int n; (n = epoll_wait(ep, ready, 64, -1)) >= 0;)
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                fd = accept(listener, NULL, NULL);
                if (fd < 0)
                    return 1;
                no_delay(fd, true);
                watch(ep, fd);
            } else if (!all(fd, buf, SIZE, false) || !all(fd, buf, SIZE, true)) {
                close(fd);
            }
        }
    return 1;
}

static void open_and_ask(int ep, const char *where, long n, int trips)
{
    for (long i = 0; i < n; i++) {
        int fd = connected(where);
        no_delay(fd, true);
        for (int k = 0; k < trips; k++)
            if (!all(fd, buf, SIZE, true) || !all(fd, buf, SIZE, false))
                exit(1);
        watch(ep, fd);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return serve(argv[2]);
    if (argc != 5)
        return 2;
    int ep = epoll_create1(0);
    struct epoll_event ready;
    open_and_ask(ep, argv[2], 1, atoi(argv[4]));
    puts("one");
    fflush(stdout);
    if (getchar() < 0)
        return 1;
    open_and_ask(ep, argv[2], atol(argv[3]), atoi(argv[4]));
    puts("all");
    fflush(stdout);
    watch(ep, STDIN_FILENO);
    return epoll_wait(ep, &ready, 1, -1) != 1 || ready.data.fd != STDIN_FILENO;
}
