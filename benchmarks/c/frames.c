/* What two cores can do at best with frames: one process copies COUNT frames of SIZE bytes into a ring of 512 slots, the other
 * copies them out.
 *   frames SIZE COUNT
 * prints nanoseconds from the first frame to the last. */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "net.h"

enum { SLOTS = 512, BURST = 32 };

static struct {
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) char bytes[];
} *shared;

static void on_core(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

int main(int argc, char **argv)
{
    size_t size = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, stride = (size + 8 + 63) & ~(size_t)63;
    uint64_t count = size ? strtoull(argv[2], NULL, 10) : 0;
    if (!count)
        return 2;
    shared = mmap(NULL, sizeof *shared + SLOTS * stride, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    char *own = calloc(BURST, stride);
    if (shared == MAP_FAILED || !own)
        return 1;
    pid_t parent = getpid(), child = fork();
    on_core(child ? 0 : 1);
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            return 1;
        for (uint64_t i = 0; i < count; i++) {
            while (i - atomic_load_explicit(&shared->head, memory_order_acquire) >= SLOTS)
                ;
            memcpy(shared->bytes + i % SLOTS * stride, own, size);
            atomic_store_explicit(&shared->tail, i + 1, memory_order_release);
        }
        return 0;
    }
    uint64_t start = 0;
    for (uint64_t i = 0; i < count; i++) {
        while (atomic_load_explicit(&shared->tail, memory_order_acquire) <= i)
            ;
        if (!start)
            start = now();
        memcpy(own + i % BURST * stride, shared->bytes + i % SLOTS * stride, size);
        if (i % BURST == BURST - 1)
            atomic_store_explicit(&shared->head, i + 1, memory_order_release);
    }
    printf("%llu\n", (unsigned long long)(now() - start));
    return 0;
}
