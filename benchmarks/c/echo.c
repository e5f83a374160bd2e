/* Echo between two processes: `echo server ADDRESS` answers until told to stop; `echo client ADDRESS SIZE COUNT
 * spin|block|mixed` prints the nanoseconds of COUNT round trips, one a line. Spinning ends use non-blocking sockets; the server
 * learns it from the first bytes of the connection. Mixed: it spins, and the client does not. ADDRESS: a port of 127.0.0.1, an
 * IPv4 address and a port, or the path of a Unix socket. */
#include <fcntl.h>

#include "net.h"

enum { LARGEST = 4 << 20 };
static char buf[LARGEST];

static void set_up(int fd, char mode)
{
    no_delay(fd, true);
    if (mode == 's')
        fcntl(fd, F_SETFL, O_NONBLOCK);
}

static int serve(const char *where)
{
    int listener = listening(where);
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        uint32_t head[2]; /* mode, size */
        if (read(fd, head, sizeof head) != sizeof head || head[1] > LARGEST)
            continue;
        set_up(fd, (char)head[0]);
        while (all(fd, buf, head[1], false) && all(fd, buf, head[1], true))
            ;
    }
    return 0;
}

static int ask(const char *where, uint32_t size, long count, char mode)
{
    int fd = connected(where);
    uint32_t head[2] = {mode == 'm' ? 's' : (uint32_t)mode, size};
    uint64_t *took = malloc(sizeof *took * (size_t)count);
    if (size > LARGEST || !took || write(fd, head, sizeof head) != sizeof head)
        return 1;
    set_up(fd, mode);
    memset(took, 1, sizeof *took * (size_t)count); /* its pages are there before the clock runs */
    for (long i = -count / 10 - 100; i < count; i++) { /* what goes first warms up */
        uint64_t before = now();
        if (!all(fd, buf, size, true) || !all(fd, buf, size, false))
            return 1;
        if (i >= 0)
            took[i] = now() - before;
    }
    for (long i = 0; i < count; i++)
        printf("%lu\n", (unsigned long)took[i]);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return serve(argv[2]);
    return argc == 6 ? ask(argv[2], (uint32_t)atoi(argv[3]), atol(argv[4]), argv[5][0]) : 2;
}
