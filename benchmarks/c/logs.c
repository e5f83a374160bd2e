/* Durable appends by the C face of PDPIX, and by the kernel; prints numbers, one a line.
 *   logs appends SIZE COUNT --cattree=FILE      ns of each of COUNT appends, one after the other; then of CPU for one of them
 *   logs tasks N SIZE COUNT --cattree=FILE      COUNT appends, N under way at a time, of one thread: how many a second
 *   logs threads N SIZE COUNT --cattree=FILE    the same of N threads, each with a log of its own
 *   logs kernel N SIZE COUNT FILE               the same by write(2) and fdatasync(2), each thread with a file of its own */
#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/storage.h>
#include <demi/wait.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        int error = (call);                                                                                            \
        if (error) {                                                                                                   \
            fprintf(stderr, "%s: %s\n", #call, strerror(error));                                                       \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { MOST = 64, WARM = 20 };

static size_t size;
static long count, writers;
static const char *path;

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int opened(long i)
{
    char name[20];
    int qd;
    snprintf(name, sizeof name, "log %ld", i);
    MUST(demi_open(&qd, name, O_CREAT | O_TRUNC));
    return qd;
}

static demi_sgarray_t filled(void)
{
    demi_sgarray_t sga = demi_sgaalloc(size);
    memset(sga.sga_segs[0].sgaseg_buf, 'x', size);
    return sga;
}

static void append(int qd, const demi_sgarray_t *sga)
{
    static __thread demi_qresult_t qr;
    demi_qtoken_t qt;
    MUST(demi_push(&qt, qd, sga));
    MUST(demi_wait(&qr, qt, NULL));
    MUST(qr.qr_opcode == DEMI_OPC_PUSH ? 0 : (int)qr.qr_ret);
}

static void appends(void)
{
    int qd = opened(0);
    demi_sgarray_t sga = filled();
    double *taken = calloc((size_t)count, sizeof *taken), used = 0;
    for (long i = -WARM; i < count; i++) {
        if (i == 0)
            used = now(CLOCK_PROCESS_CPUTIME_ID);
        double began = now(CLOCK_MONOTONIC);
        append(qd, &sga);
        if (i >= 0)
            taken[i] = now(CLOCK_MONOTONIC) - began;
    }
    used = now(CLOCK_PROCESS_CPUTIME_ID) - used;
    for (long i = 0; i < count; i++)
        printf("%.0f\n", taken[i]);
    printf("%.0f\n", used / (double)count);
}

static void tasks(void)
{
    static demi_qresult_t qrs[MOST];
    demi_sgarray_t sga = filled();
    demi_qtoken_t qt;
    int n, qds[MOST];
    for (long i = 0; i < writers; i++)
        qds[i] = opened(i);
    double began = now(CLOCK_MONOTONIC);
    for (long i = 0; i < writers; i++)
        MUST(demi_push(&qt, qds[i], &sga));
    for (long left = count, begun = writers; left; left -= n) {
        MUST(demi_wait_next_n(qrs, MOST, &n, NULL));
        for (int i = 0; i < n; i++) {
            MUST(qrs[i].qr_opcode == DEMI_OPC_PUSH ? 0 : (int)qrs[i].qr_ret);
            if (begun++ < count)
                MUST(demi_push(&qt, qrs[i].qr_qd, &sga));
        }
    }
    printf("%.1f\n", (double)count * 1e9 / (now(CLOCK_MONOTONIC) - began));
}

static void *by_libos(void *given)
{
    demi_sgarray_t sga = filled();
    for (long i = 0; i < count / writers; i++)
        append(*(int *)given, &sga);
    return NULL;
}

static void *by_kernel(void *given)
{
    char *bytes = malloc(size);
    memset(bytes, 'x', size);
    for (long i = 0; i < count / writers; i++)
        if (write(*(int *)given, bytes, size) != (ssize_t)size || fdatasync(*(int *)given))
            exit(1);
    return NULL;
}

static void threads(int kernel)
{
    pthread_t thread[MOST];
    int fds[MOST];
    for (long i = 0; i < writers; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s-%ld", path, i);
        fds[i] = kernel ? open(file, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600) : opened(i);
    }
    double began = now(CLOCK_MONOTONIC);
    for (long i = 0; i < writers; i++)
        pthread_create(&thread[i], NULL, kernel ? by_kernel : by_libos, &fds[i]);
    for (long i = 0; i < writers; i++)
        pthread_join(thread[i], NULL);
    printf("%.1f\n", (double)(count / writers * writers) * 1e9 / (now(CLOCK_MONOTONIC) - began));
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    int one = !strcmp(argv[1], "appends"), kernel = !strcmp(argv[1], "kernel");
    writers = one ? 1 : atol(argv[2]);
    size = strtoul(argv[3 - one], NULL, 10);
    count = atol(argv[4 - one]);
    path = argv[5 - one];
    struct demi_args args = {argc, argv, NULL};
    if (!kernel)
        MUST(demi_init(&args));
    if (writers < 1 || writers > MOST)
        return 2;
    one ? appends() : !strcmp(argv[1], "tasks") ? tasks() : threads(kernel);
    return 0;
}
