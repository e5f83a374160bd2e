/* Questions and answers of 64 B over TCP: `rate server PORT` answers, one connection after the other, until told to stop.
 * `rate client PORT EACH SECONDS [stay]` opens a connection, asks EACH times, closes it, and so on for SECONDS; EACH of 0
 * stays on one connection. Prints connections, round trips, nanoseconds and those of its processor time; then, with
 * `stay`, waits silently for an answer that nobody sends. */
#include "net.h"

enum { SIZE = 64 };
static char buf[SIZE];

static int serve(const char *where)
{
    int listener = listening(where);
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        no_delay(fd, true);
        while (all(fd, buf, SIZE, false) && all(fd, buf, SIZE, true))
            ;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return serve(argv[2]);
    if (argc < 5)
        return 2;
    unsigned long each = strtoul(argv[3], NULL, 10), connections = 0, trips = 0;
    int fd = -1;
    uint64_t start = now(), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), end = start + (uint64_t)(atof(argv[4]) * 1e9), at;
    do {
        if (fd < 0 || each) {
            if (fd >= 0)
                close(fd);
            fd = connected(argv[2]);
            no_delay(fd, true);
            connections++;
        }
        unsigned long many = each ? each : 64;
        for (unsigned long i = 0; i < many; i++, trips++)
            if (!all(fd, buf, SIZE, true) || !all(fd, buf, SIZE, false))
                return 1;
        at = now();
    } while (at < end);
    printf("%lu %lu %lu %lu\n", connections, trips, (unsigned long)(at - start),
           (unsigned long)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu));
    fflush(stdout);
    if (argc == 6)
        return read(fd, buf, SIZE) < 0;
    return 0;
}
