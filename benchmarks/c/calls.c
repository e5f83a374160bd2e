/* What a call costs on its way. The preload's own sources are linked into this program, so that the bridge can be
 * called without a name being exported for it; `next` points at stubs where no system call must be made.
 * `calls one|threads [--quick]`: a line per block and figure: name, nanoseconds (threads: operations per second). */
#include "trap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <time.h>

enum { BLOCKS = 24 };
static long scale = 1; /* --quick divides the loops by it */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static __attribute__((noinline)) ssize_t stub_recv(int fd, void *buf, size_t n, int flags)
{
    (void)fd, (void)buf, (void)flags;
    __asm__ volatile("" ::: "memory");
    return (ssize_t)n;
}

#define HOT_probe(a, b, c, d, e) ops.probe((void *)(a), (int64_t)(b))

/* The walk of trap.h with an empty operation. */
static __attribute__((noinline)) int64_t probe(int fd, int64_t x)
{
    WALK(int64_t, fd, NULL, 0, HOT(t, probe, d, x, 0, 0, 0), -1);
}

static __attribute__((noinline)) int probe_gil(int fd, int64_t x)
{
    SIMPLE(fd, SLOW(t, probe_gil, d, x, 0, 0, 0), -1);
}

#define MEASURE(name, loops, body)                                                                                     \
    do {                                                                                                               \
        long count = (loops) / scale;                                                                                  \
        double start = now();                                                                                          \
        for (long i = 0; i < count; i++) {                                                                             \
            body;                                                                                                      \
        }                                                                                                              \
        dprintf(1, "%s %.3f\n", name, (now() - start) / (double)count);                                                \
    } while (0)

struct worker {
    pthread_t thread;
    int fd;
    enum { EMPTY, RECV, KERNEL } what;
    long count;
    double start, end;
};
static pthread_barrier_t gate;

static void *work(void *argument)
{
    struct worker *w = argument;
    char byte;
    probe(w->fd, 1);
    pthread_barrier_wait(&gate);
    w->start = now();
    for (long i = 0; i < w->count; i++)
        if (w->what == EMPTY)
            probe(w->fd, i);
        else if (w->what == RECV)
            recv(w->fd, &byte, 1, MSG_DONTWAIT);
        else
            syscall(SYS_recvfrom, w->fd, &byte, 1, MSG_DONTWAIT, NULL, NULL);
    w->end = now();
    return NULL;
}

/* Operations per second of `n` threads on descriptors of their own. */
static void threads(const char *name, int n, int what, long loops, const int *fds)
{
    struct worker workers[16];
    pthread_barrier_init(&gate, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        workers[i] = (struct worker){.fd = fds[i], .what = what, .count = loops / scale / n};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    double start = 0, end = 0; /* of the first to start and of the last to end */
    for (int i = 0; i < n; i++) {
        pthread_join(workers[i].thread, NULL);
        start = i && start < workers[i].start ? start : workers[i].start;
        end = end > workers[i].end ? end : workers[i].end;
    }
    dprintf(1, "%s_%d %.0f\n", name, n, (double)(workers[0].count * n) / (end - start) * 1e9);
    pthread_barrier_destroy(&gate);
}

static void all_threads(void)
{
    static const int counts[] = {1, 2, 12};
    int fds[12];
    for (int i = 0; i < 12; i++)
        fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
    for (int block = 0; block < BLOCKS; block++)
        for (int i = 0; i < 3; i++) {
            threads("probes", counts[i], EMPTY, 6000000, fds);
            threads("receives", counts[i], RECV, 400000, fds);
            threads("kernel_receives", counts[i], KERNEL, 400000, fds);
        }
}

static void pair(int ends[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&a, sizeof a) || listen(listener, 1) || getsockname(listener, (void *)&a, &length))
        exit(1);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(ends[0], (void *)&a, sizeof a) || (ends[1] = accept(listener, NULL, NULL)) < 0)
        exit(1);
    close(listener);
}

enum { MESSAGES = 500, ROUNDS = 40 };

/* Nanoseconds of a recv of 64 B that finds them: without the filling. `how`: 0 trap, 1 entry, 2 kernel. */
static void receive_data(const char *name, const int ends[2], int how)
{
    static char heap[MESSAGES * 64];
    char buf[64];
    double spent = 0;
    long rounds = scale > 1 ? 2 : ROUNDS;
    void *d = lookup(ends[1]);
    for (long round = 0; round < rounds; round++) {
        int64_t got = 0;
        if (syscall(SYS_sendto, ends[0], heap, sizeof heap, 0, NULL, 0) != sizeof heap)
            exit(1);
        double start = now();
        for (int i = 0; i < MESSAGES; i++)
            got += how == 0   ? recv(ends[1], buf, 64, MSG_DONTWAIT)
                   : how == 1 ? ops.recv(d, (uintptr_t)buf, 64, MSG_DONTWAIT, 0)
                              : syscall(SYS_recvfrom, ends[1], buf, 64, MSG_DONTWAIT, NULL, NULL);
        spent += now() - start;
        if (got != sizeof heap)
            exit(1);
    }
    dprintf(1, "%s %.3f\n", name, spent / (double)(rounds * MESSAGES));
}

int main(int argc, char **argv)
{
    int ends[2];
    char buf[64] = {0};
    if (strcmp(argv[argc - 1], "--quick") == 0)
        scale = 40;
    pair(ends);
    if (!lookup(ends[0]) || probe(ends[0], 42) != 42 || probe_gil(ends[0], 42) != 42) {
        dprintf(2, "the host did not start\n");
        return 1;
    }
    if (strcmp(argv[1], "threads") == 0) {
        all_threads();
        return 0;
    }
    int nobody = dup(0); /* a number that is not ours */
    ssize_t (*volatile trap)(int, void *, size_t, int) = recv;
    ssize_t (*volatile bare)(int, void *, size_t, int) = stub_recv;
    ssize_t (*real_recv)(int, void *, size_t, int) = next.recv;
    void *d = lookup(ends[1]);
    for (int block = 0; block < BLOCKS; block++) {
        next.recv = stub_recv;
        MEASURE("stub", 8000000, bare(nobody, buf, 64, 0));
        MEASURE("trap_linked", 8000000, trap(nobody, buf, 64, 0));
        next.recv = real_recv;
        MEASURE("getppid", 400000, syscall(SYS_getppid));
        MEASURE("nogil", 4000000, probe(ends[0], i));
        MEASURE("gil", 1000000, probe_gil(ends[0], i));
        MEASURE("kernel_eagain", 200000, syscall(SYS_recvfrom, ends[1], buf, 64, MSG_DONTWAIT, NULL, NULL));
        MEASURE("entry_eagain", 200000, ops.recv(d, (uintptr_t)buf, 64, MSG_DONTWAIT, 0));
        MEASURE("recv_eagain", 200000, recv(ends[1], buf, 64, MSG_DONTWAIT));
        receive_data("kernel_data", ends, 2);
        receive_data("entry_data", ends, 1);
        receive_data("recv_data", ends, 0);
        MEASURE("kernel_send_recv", 40000, {
            syscall(SYS_sendto, ends[0], buf, 64, MSG_DONTWAIT, NULL, 0);
            syscall(SYS_recvfrom, ends[1], buf, 64, MSG_DONTWAIT, NULL, NULL);
        });
        MEASURE("send_recv", 40000, {
            send(ends[0], buf, 64, MSG_DONTWAIT);
            recv(ends[1], buf, 64, MSG_DONTWAIT);
        });
    }
    return 0;
}
