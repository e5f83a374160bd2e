/* `threads N SECONDS`: N threads, each with both ends of a TCP connection of its own, sending 64 B at one end and receiving
 * them at the other. Nothing is shared and nobody waits, so more cores should mean more of them. Prints how many a second. */
#include <pthread.h>
#include <stdatomic.h>

#include "net.h"

enum { SIZE = 64, MOST = 64, TRIPS = 64 };

static pthread_barrier_t together;
static atomic_bool stop;
static struct worker {
    _Alignas(128) int near;
    int far;
    uint64_t start, done;
} workers[MOST];

static bool trip(struct worker *w, char *buf)
{
    return send(w->far, buf, SIZE, 0) == SIZE && recv(w->near, buf, SIZE, MSG_WAITALL) == SIZE;
}

static bool trip_back(struct worker *w, char *buf)
{
    return send(w->near, buf, SIZE, 0) == SIZE && recv(w->far, buf, SIZE, MSG_WAITALL) == SIZE;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    char buf[SIZE] = {0};
    uint64_t done = 0;
    for (int i = 0; i < TRIPS; i++)
        if (!trip(w, buf) || !trip_back(w, buf))
            exit(1);
    pthread_barrier_wait(&together);
    w->start = now();
    for (; !atomic_load_explicit(&stop, memory_order_relaxed); done++)
        if (!trip(w, buf))
            exit(1);
    w->done = done;
    return NULL;
}

int main(int argc, char **argv)
{
    int n = argc == 3 ? atoi(argv[1]) : 0;
    if (n < 1 || n > MOST)
        return 2;
    char port[8];
    pthread_t ids[MOST];
    union address a;
    socklen_t length = sizeof a;
    int listener = listening("0");
    getsockname(listener, &a.any, &length);
    snprintf(port, sizeof port, "%d", ntohs(a.tcp.sin_port));
    pthread_barrier_init(&together, NULL, (unsigned)n + 1);
    for (int i = 0; i < n; i++) {
        workers[i].far = connected(port);
        workers[i].near = accept(listener, NULL, NULL);
        no_delay(workers[i].far, true);
        no_delay(workers[i].near, true);
        if (pthread_create(&ids[i], NULL, work, &workers[i]))
            return 1;
    }
    pthread_barrier_wait(&together);
    uint64_t start = UINT64_MAX, total = 0;
    double seconds = atof(argv[2]);
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (int)seconds) * 1e9)}, NULL);
    atomic_store(&stop, true);
    uint64_t end = now();
    for (int i = 0; i < n; i++) {
        pthread_join(ids[i], NULL);
        total += workers[i].done;
        start = workers[i].start < start ? workers[i].start : start; /* this thread may have been late to run */
    }
    printf("%.0f\n", (double)total / ((double)(end - start) / 1e9));
    return 0;
}
