/* What two cores can do at best, without any socket: two processes, each on a core of its own, spinning.
 *   limits line COUNT       one cache line there and back: the mean of 100 round trips, COUNT times
 *   limits ring COUNT SIZE  SIZE bytes there and back, each through a byte ring: each of COUNT round trips
 * prints nanoseconds, one a line. */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "net.h"

enum { RING = 1 << 16, BATCH = 100 };

struct ring {
    _Alignas(64) _Atomic uint64_t tail;
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) char bytes[RING];
};

static struct {
    _Alignas(64) _Atomic uint64_t line;
    struct ring there, back;
} *shared;

static void push(struct ring *r, const char *from, size_t n)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    while (tail + n - atomic_load_explicit(&r->head, memory_order_acquire) > RING)
        ;
    memcpy(r->bytes + tail % RING, from, n); /* sizes divide the ring */
    atomic_store_explicit(&r->tail, tail + n, memory_order_release);
}

static void pop(struct ring *r, char *to, size_t n)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    while (atomic_load_explicit(&r->tail, memory_order_acquire) - head < n)
        ;
    memcpy(to, r->bytes + head % RING, n);
    atomic_store_explicit(&r->head, head + n, memory_order_release);
}

/* one round trip, or the other end's half of it; `turn` counts from 0 */
static void line(bool asks, uint64_t turn)
{
    if (asks)
        atomic_store_explicit(&shared->line, 2 * turn + 1, memory_order_release);
    while (atomic_load_explicit(&shared->line, memory_order_acquire) != 2 * turn + (asks ? 2 : 1))
        ;
    if (!asks)
        atomic_store_explicit(&shared->line, 2 * turn + 2, memory_order_release);
}

static void trip(bool asks, uint64_t turn, size_t size)
{
    static char buf[RING];
    if (!size) {
        line(asks, turn);
    } else if (asks) {
        push(&shared->there, buf, size);
        pop(&shared->back, buf, size);
    } else {
        pop(&shared->there, buf, size);
        push(&shared->back, buf, size);
    }
}

static void on_core(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

int main(int argc, char **argv)
{
    size_t size = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    uint64_t count = argc >= 3 ? strtoull(argv[2], NULL, 10) : 0, each = size ? 1 : BATCH, first = count / 10;
    if (!count || (size && RING % size))
        return 2;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    uint64_t *took = calloc(first + count, sizeof *took);
    if (shared == MAP_FAILED || !took)
        return 1;
    memset(took, 1, sizeof *took * (first + count));
    pid_t parent = getpid(), child = fork();
    on_core(child ? 1 : 0);
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            return 1;
    }
    for (uint64_t i = 0; i < first + count; i++) {
        uint64_t before = now();
        for (uint64_t k = 0; k < each; k++)
            trip(child, i * each + k, size);
        took[i] = now() - before;
    }
    if (child)
        for (uint64_t i = first; i < first + count; i++) /* what went first warmed up */
            printf("%g\n", (double)took[i] / (double)each);
    return 0;
}
