/* The C face of PDPIX (libos/capi), as a program sees it; prints numbers, one a line.
 *   face queue COUNT BLOCKS           ns to hand one array of 64 B through a queue in memory: push, wait, pop, wait, free
 *   face outstanding N COUNT BLOCKS   ns per completion: a push, wait_any of 64 qtokens, the next pop; N are outstanding
 *   face fair ROUNDS                  64 queues, each popped again at completion: the least share, times 64
 *   face server PORT [SIZE]           echo of so many bytes, 64 without SIZE, until its client ends
 *   face client PORT COUNT [SIZE]     ns of each of COUNT round trips of so many bytes
 *   face threads N COUNT              N threads, each with both ends of a connection of its own, hand 64 B from one to the
 *                                     other COUNT times: how many a second, of all threads
 *   face connections N COUNT          ns to hand 64 B to one of N connections within the process, while a pop waits at each
 * Behind these words stands --catnap, --catloop or --catmint. */
#include <arpa/inet.h>
#include <demi/catflap.h>
#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
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

enum { SIZE = 64, GIVEN = 64, LARGEST = 1 << 20 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* results are large: each is written once, where it is used */
static void finish(demi_qresult_t *qr, demi_qtoken_t qt)
{
    MUST(demi_wait(qr, qt, NULL));
    MUST(qr->qr_opcode == DEMI_OPC_FAILED ? (int)qr->qr_ret : 0);
}

static void push(demi_qresult_t *qr, int qd, const demi_sgarray_t *sga)
{
    demi_qtoken_t qt;
    MUST(demi_push(&qt, qd, sga));
    finish(qr, qt);
}

static demi_sgarray_t *pop(demi_qresult_t *qr, int qd)
{
    demi_qtoken_t qt;
    MUST(demi_pop(&qt, qd));
    finish(qr, qt);
    return &qr->qr_value.sga;
}

static void queue(long count, long blocks)
{
    int qd;
    demi_qresult_t qr;
    demi_sgarray_t sga = demi_sgaalloc(SIZE);
    MUST(demi_queue(&qd, 16));
    while (blocks--) {
        double began = now();
        for (long i = 0; i < count; i++) {
            push(&qr, qd, &sga);
            MUST(demi_sgafree(pop(&qr, qd)));
        }
        printf("%.3f\n", (now() - began) / (double)count);
    }
}

static int qds[GIVEN];
static demi_qtoken_t qts[GIVEN];

/* One completion of a queue's pop, and the next pop. */
static int turn(demi_sgarray_t *sga, int which)
{
    demi_qresult_t qr;
    int offset;
    if (which >= 0)
        push(&qr, qds[which], sga);
    MUST(demi_wait_any(&qr, &offset, qts, GIVEN, NULL));
    MUST(demi_sgafree(&qr.qr_value.sga));
    MUST(demi_pop(&qts[offset], qds[offset]));
    return offset;
}

static void outstanding(long n, long count, long blocks)
{
    int others;
    demi_qtoken_t unused;
    demi_sgarray_t sga = demi_sgaalloc(SIZE);
    MUST(demi_queue(&others, 1));
    for (long i = GIVEN; i < n; i++) /* before and after the 64, so that they lie apart */ {
        if (i % (n / GIVEN) == 0 && i / (n / GIVEN) - 1 < GIVEN) {
            int k = (int)(i / (n / GIVEN)) - 1;
            MUST(demi_queue(&qds[k], 4));
            MUST(demi_pop(&qts[k], qds[k]));
        }
        MUST(demi_pop(&unused, others));
    }
    for (int k = 0; k < GIVEN; k++)
        if (!qds[k]) {
            MUST(demi_queue(&qds[k], 4));
            MUST(demi_pop(&qts[k], qds[k]));
        }
    unsigned which = 1;
    while (blocks--) {
        double began = now();
        for (long i = 0; i < count; i++) {
            which = which * 1103515245u + 12345u;
            turn(&sga, (int)(which >> 16) % GIVEN);
        }
        printf("%.3f\n", (now() - began) / (double)count);
    }
}

static void fair(long rounds)
{
    long served[GIVEN] = {0}, least;
    demi_qresult_t qr;
    demi_sgarray_t sga = demi_sgaalloc(SIZE);
    for (int i = 0; i < GIVEN; i++) {
        MUST(demi_queue(&qds[i], 4));
        MUST(demi_pop(&qts[i], qds[i]));
        push(&qr, qds[i], &sga); /* complete, and another one there for the next */
        push(&qr, qds[i], &sga);
    }
    for (long i = 0; i < rounds; i++) {
        int offset = turn(&sga, -1);
        served[offset]++;
        push(&qr, qds[offset], &sga);
    }
    least = served[0];
    for (int i = 1; i < GIVEN; i++)
        least = served[i] < least ? served[i] : least;
    printf("%.4f\n", (double)least * GIVEN / (double)rounds);
}

static int tcp(void)
{
    int qd;
    MUST(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
    return qd;
}

/* Pop until `size` bytes are there, as one array; false at the end. */
static int whole(demi_qresult_t *qr, demi_sgarray_t *sga, int qd, size_t size)
{
    sga->sga_numsegs = 0;
    while (size) {
        const demi_sgaseg_t *segment = &pop(qr, qd)->sga_segs[0];
        if (!segment->sgaseg_len) {
            MUST(demi_sgafree(&qr->qr_value.sga));
            return 0;
        }
        size -= segment->sgaseg_len;
        sga->sga_segs[sga->sga_numsegs++] = *segment;
        if (sga->sga_numsegs == DEMI_SGARRAY_MAXSIZE && size)
            MUST(EMSGSIZE); /* a stream in pieces that are too small */
    }
    return 1;
}

static void server(struct sockaddr_in *address, size_t size)
{
    int listener = tcp();
    demi_qtoken_t qt;
    MUST(demi_bind(listener, (struct sockaddr *)address, sizeof *address));
    MUST(demi_listen(listener, 4));
    puts("listening");
    fflush(stdout);
    MUST(demi_accept(&qt, listener));
    demi_qresult_t qr;
    demi_sgarray_t sga;
    finish(&qr, qt);
    int qd = qr.qr_value.ares.qd;
    while (whole(&qr, &sga, qd, size)) {
        push(&qr, qd, &sga);
        MUST(demi_sgafree(&sga));
    }
}

/* `size` bytes, in segments as large as they can be. */
static void filled(demi_sgarray_t *sga, size_t size)
{
    sga->sga_numsegs = 0;
    while (size) {
        size_t part = size < LARGEST ? size : LARGEST;
        demi_sgarray_t one = demi_sgaalloc(part);
        memset(one.sga_segs[0].sgaseg_buf, 1, part < SIZE ? part : SIZE);
        sga->sga_segs[sga->sga_numsegs++] = one.sga_segs[0];
        size -= part;
    }
}

static void client(struct sockaddr_in *address, long count, size_t size)
{
    int qd = tcp();
    demi_qtoken_t qt;
    demi_qresult_t qr;
    demi_sgarray_t sga, back;
    MUST(demi_connect(&qt, qd, (struct sockaddr *)address, sizeof *address));
    finish(&qr, qt);
    double *took = calloc((size_t)count, sizeof *took);
    for (long i = -count / 4; i < count; i++) {
        double began = now();
        filled(&sga, size);
        push(&qr, qd, &sga);
        MUST(demi_sgafree(&sga));
        MUST(whole(&qr, &back, qd, size) ? 0 : ECONNRESET);
        MUST(demi_sgafree(&back));
        if (i >= 0)
            took[i] = now() - began;
    }
    MUST(demi_close(qd));
    for (long i = 0; i < count; i++)
        printf("%.0f\n", took[i]);
}

struct both {
    int near, far;
};

/* Both ends of a connection to ourselves, used as often as Catloop wants it before it goes to rings. */
static struct both connection(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct both ends;
    socklen_t size = sizeof address;
    int listener = tcp();
    demi_qtoken_t accepting, connecting;
    demi_qresult_t qr;
    MUST(demi_bind(listener, (struct sockaddr *)&address, size));
    MUST(demi_listen(listener, 4));
    MUST(demi_getsockname(listener, (struct sockaddr *)&address, &size));
    ends.near = tcp();
    MUST(demi_accept(&accepting, listener));
    MUST(demi_connect(&connecting, ends.near, (struct sockaddr *)&address, size));
    finish(&qr, connecting);
    finish(&qr, accepting);
    ends.far = qr.qr_value.ares.qd;
    MUST(demi_close(listener));
    return ends;
}

static void trip(struct both ends, demi_sgarray_t *sga)
{
    demi_qresult_t qr;
    push(&qr, ends.near, sga);
    MUST(demi_sgafree(pop(&qr, ends.far)));
}

static void warm(struct both ends, demi_sgarray_t *sga)
{
    for (int i = 0; i < 200; i++) {
        trip(ends, sga);
        trip((struct both){ends.far, ends.near}, sga);
    }
}

static pthread_barrier_t together;
static long trips;

static void *work(void *arg)
{
    struct both ends = connection();
    demi_sgarray_t sga = demi_sgaalloc(SIZE);
    (void)arg;
    warm(ends, &sga);
    pthread_barrier_wait(&together);
    for (long i = 0; i < trips; i++)
        trip(ends, &sga);
    pthread_barrier_wait(&together);
    return NULL;
}

static void threads(long n, long count)
{
    pthread_t id;
    trips = count;
    pthread_barrier_init(&together, NULL, (unsigned)n + 1);
    for (long i = 0; i < n; i++)
        MUST(pthread_create(&id, NULL, work, NULL));
    pthread_barrier_wait(&together);
    double began = now();
    pthread_barrier_wait(&together);
    printf("%.0f\n", (double)(n * count) / (now() - began) * 1e9);
}

static void connections(long n, long count)
{
    struct rlimit most;
    struct both *ends = calloc((size_t)n, sizeof *ends);
    demi_qtoken_t *popping = calloc((size_t)n, sizeof *popping);
    demi_sgarray_t sga = demi_sgaalloc(SIZE);
    demi_qresult_t qr;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max; /* two numbers for each connection */
    setrlimit(RLIMIT_NOFILE, &most);
    for (long i = 0; i < n; i++) {
        ends[i] = connection();
        warm(ends[i], &sga);
    }
    for (long i = 0; i < n; i++)
        MUST(demi_pop(&popping[i], ends[i].far));
    double began = now();
    for (long i = 0; i < count; i++) {
        push(&qr, ends[n - 1].near, &sga); /* the ring has it, and nobody has looked yet */
        finish(&qr, popping[n - 1]);
        MUST(demi_sgafree(&qr.qr_value.sga));
        MUST(demi_pop(&popping[n - 1], ends[n - 1].far));
    }
    printf("%.1f\n", (now() - began) / (double)count);
}

int main(int argc, char **argv)
{
    struct demi_args args = {argc, argv, NULL};
    const char *what = argc > 1 ? argv[1] : "";
    long a = argc > 2 ? atol(argv[2]) : 0, b = argc > 3 ? atol(argv[3]) : 0, c = argc > 4 ? atol(argv[4]) : 0;
    size_t size = (size_t)(!strcmp(what, "server") ? b : c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)a)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MUST(demi_init(&args));
    if (!strcmp(what, "queue"))
        queue(a, b);
    else if (!strcmp(what, "outstanding"))
        outstanding(a, b, c);
    else if (!strcmp(what, "fair"))
        fair(a);
    else if (!strcmp(what, "server"))
        server(&address, size ? size : SIZE);
    else if (!strcmp(what, "client"))
        client(&address, b, size ? size : SIZE);
    else if (!strcmp(what, "threads"))
        threads(a, b);
    else if (!strcmp(what, "connections"))
        connections(a, b);
    return 0;
}
