/* Durable appends: `appended FILE BYTES TIMES`: write(2) and fdatasync(2) of a file that grows; `appended FILE BYTES TIMES
 * device`: what the device takes for as much, an overwrite of whole sectors with O_DIRECT and RWF_DSYNC. Prints for each the
 * nanoseconds, and then those of CPU that all the calls after write(2) took together. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WARM = 20, AREA = 16 << 20 };

static int64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    size_t size = strtoul(argv[2], NULL, 10), times = strtoul(argv[3], NULL, 10), sectors = (size + 511) / 512 * 512;
    int device = argc > 4, fd = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY | (device ? 0 : O_APPEND), 0600);
    char *bytes = aligned_alloc(4096, AREA);
    int64_t *taken = calloc(times, sizeof *taken), used = 0;
    memset(bytes, 'x', AREA);
    if (device && (write(fd, bytes, AREA) != AREA || fsync(fd) || close(fd) || (fd = open(argv[1], O_WRONLY | O_DIRECT)) < 0))
        return 1;
    struct iovec part = {bytes, sectors};
    for (size_t i = 0; i < WARM + times; i++) {
        int64_t begun = now(CLOCK_MONOTONIC);
        if (!device && write(fd, bytes, size) != (ssize_t)size)
            return 1;
        int64_t before = now(CLOCK_THREAD_CPUTIME_ID);
        off_t at = (off_t)(i * sectors % (AREA - sectors) / 512 * 512);
        if (device ? pwritev2(fd, &part, 1, at, RWF_DSYNC) != (ssize_t)sectors : fdatasync(fd) != 0)
            return 1;
        if (i < WARM)
            continue;
        used += now(CLOCK_THREAD_CPUTIME_ID) - before;
        taken[i - WARM] = now(CLOCK_MONOTONIC) - begun;
    }
    for (size_t i = 0; i < times; i++)
        printf("%ld\n", (long)taken[i]);
    printf("%ld\n", (long)used);
    return 0;
}
