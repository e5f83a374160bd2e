/* TCP echo, both ends: `echo server PORT` answers until told to stop; `echo client PORT SIZE COUNT spin|block` prints
 * the nanoseconds of COUNT round trips, one a line. Spinning ends use non-blocking sockets; the server learns it from
 * the first bytes of the connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 1 << 20 };
static char buf[LARGEST];

static bool all(int fd, size_t n, bool outward)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = outward ? write(fd, buf + done, n - done) : read(fd, buf + done, n - done);
        if (r > 0)
            done += (size_t)r;
        else if (r == 0 || errno != EAGAIN)
            return false;
    }
    return true;
}

static void set_up(int fd, char mode)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (mode == 's')
        fcntl(fd, F_SETFL, O_NONBLOCK);
}

static int serve(const struct sockaddr_in *a)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (const void *)a, sizeof *a) || listen(listener, 8))
        return 1;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        uint32_t head[2]; /* mode, size */
        if (read(fd, head, sizeof head) != sizeof head || head[1] > LARGEST)
            continue;
        set_up(fd, (char)head[0]);
        while (all(fd, head[1], false) && all(fd, head[1], true))
            ;
    }
    return 0;
}

static int ask(const struct sockaddr_in *a, uint32_t size, long count, char mode)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint32_t head[2] = {(uint32_t)mode, size};
    uint64_t *took = malloc(sizeof *took * (size_t)count);
    if (size > LARGEST || !took || connect(fd, (const void *)a, sizeof *a) ||
        write(fd, head, sizeof head) != sizeof head)
        return 1;
    set_up(fd, mode);
    for (long i = -count / 10; i < count; i++) { /* the first tenth warms up */
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        if (!all(fd, size, true) || !all(fd, size, false))
            return 1;
        clock_gettime(CLOCK_MONOTONIC, &after);
        if (i >= 0)
            took[i] = (uint64_t)((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec);
    }
    for (long i = 0; i < count; i++)
        printf("%lu\n", (unsigned long)took[i]);
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (argc < 3)
        return 2;
    a.sin_port = htons((uint16_t)atoi(argv[2]));
    if (argc == 3)
        return serve(&a);
    return argc == 6 ? ask(&a, (uint32_t)atoi(argv[3]), atol(argv[4]), argv[5][0]) : 2;
}
