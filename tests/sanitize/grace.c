/* Descriptor table and grace periods without a host, for the thread sanitizer: readers walk as traps do, one closer
 * takes descriptions out of the table and writes to them when their grace period is over. `grace ROUNDS`.
 *
 * With -DNO_GRACE the closer does not wait: what the sanitizer has to find. */
#include "trap.h"

#include <sched.h>

enum { READERS = 3, NUMBERS = 8, SPREAD = 700, PAGES = 4 };

/* what boot.c and trap_signal.c have */
_Atomic int host_state = STATE_UP;
struct catflap_ops ops;
int64_t host_thread_begin(void)
{
    return 0;
}
void host_thread_end(void)
{
}
void signal_deliver(struct thread *t)
{
    (void)t;
}

struct description {
    int fd, alive;
};
static struct description room[2 * NUMBERS];
static _Atomic int over;
static _Atomic long found, wrong;

static void *read_for_ever(void *arg)
{
    unsigned k = (unsigned)(uintptr_t)arg;
    while (!atomic_load(&over)) {
        int fd = (int)(k++ % NUMBERS) * SPREAD;
        struct thread *t = enter();
        struct description *d = lookup(fd);
        if (d) {
            found++;
            if (d->fd != fd || !d->alive)
                wrong++;
        }
        leave(t);
        if (k % 64 == 0) { /* the other looks now and then; numbers far above are never bound */
            unsigned next = k % 5000;
            descriptor_next(&next, next + 100000, false);
            if (descriptor_reason(fd) > 1 || lookup((int)(k % 1000) + (1 << 25)) || lookup(-1))
                wrong++;
        }
    }
    return NULL;
}

/* Two threads that come to new pages and leave them again: each page is made once. */
static void *make_pages(void *arg)
{
    (void)arg;
    for (int fd = PAGES << PAGE_BITS; fd < 40 << PAGE_BITS; fd += 1 << PAGE_BITS) {
        descriptor_bind(fd, NULL, 1);
        wrong += descriptor_reason(fd) != 1;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t readers[READERS], makers[2];
    long rounds = argc > 1 ? atol(argv[1]) : 1000;
    for (int i = 0; i < READERS; i++)
        pthread_create(&readers[i], NULL, read_for_ever, (void *)(uintptr_t)i);
    for (int i = 0; i < 2; i++)
        pthread_create(&makers[i], NULL, make_pages, NULL);
    for (long i = 0; i < rounds || found < 100; i++) {
        int k = (int)(i % NUMBERS), fd = k * SPREAD;
        struct description *d = &room[k + (int)(i / NUMBERS % 2) * NUMBERS];
        *d = (struct description){fd, 1};
        wrong += descriptor_bind(fd, d, 0) != 0 || lookup(fd) != d;
        if (i % 3 == 0)
            sched_yield();
        wrong += descriptor_forget(fd) != d || lookup(fd) != NULL;
#ifndef NO_GRACE
        grace_wait();
#endif
        d->alive = 0;
    }
    atomic_store(&over, 1);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(makers[i], NULL);
    dprintf(1, "wrong %ld\n", (long)wrong);
    return wrong != 0;
}
