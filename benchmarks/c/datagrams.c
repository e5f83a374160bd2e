/* Echo of datagrams between two processes: `datagrams server ADDRESS` answers until told to stop, and listens by TCP to be
 * found; `datagrams client ADDRESS SIZE COUNT spin|block` prints the nanoseconds of COUNT round trips, one a line. Spinning
 * ends use non-blocking sockets; the server learns it from the first datagram. */
#include <fcntl.h>

#include "net.h"

enum { LARGEST = 65507 };
static char buf[LARGEST];

static ssize_t received(int fd, struct sockaddr *from, socklen_t *length)
{
    ssize_t r;
    do
        r = recvfrom(fd, buf, sizeof buf, 0, from, length);
    while (r < 0 && errno == EAGAIN);
    return r;
}

static int serve(const char *where)
{
    union address a, from;
    socklen_t length = address(where, &a);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(fd, &a.any, length) || listening(where) < 0)
        return 1;
    for (;;) {
        length = sizeof from;
        ssize_t r = received(fd, &from.any, &length);
        if (r == 1)
            fcntl(fd, F_SETFL, buf[0] == 's' ? O_NONBLOCK : 0);
        if (r > 1)
            buf[0]++; /* so that it is seen who has answered */
        if (r < 0 || sendto(fd, buf, (size_t)r, 0, &from.any, length) != r)
            return 1;
    }
}

static int ask(const char *where, size_t size, long count, char mode)
{
    union address a;
    socklen_t length = address(where, &a);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    uint64_t *took = malloc(sizeof *took * (size_t)count);
    if (!took || size < 2 || size > LARGEST || connect(fd, &a.any, length) || send(fd, &mode, 1, 0) != 1 || received(fd, NULL, NULL) != 1)
        return 1;
    if (mode == 's')
        fcntl(fd, F_SETFL, O_NONBLOCK);
    memset(took, 1, sizeof *took * (size_t)count); /* its pages are there before the clock runs */
    for (long i = -count / 10 - 100; i < count; i++) { /* what goes first warms up */
        buf[0] = (char)i;
        uint64_t before = now();
        if (send(fd, buf, size, 0) != (ssize_t)size || received(fd, NULL, NULL) != (ssize_t)size)
            return 1;
        if (buf[0] != (char)(i + 1))
            return 3;
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
    return argc == 6 ? ask(argv[2], (size_t)atoi(argv[3]), atol(argv[4]), argv[5][0]) : 2;
}
