/* Several threads on one libOS: each completion is one waiter's, and who sleeps is woken. */
#include "check.h"

enum { WORKERS = 4, EACH = 2000 };
static int qd, seen[WORKERS * EACH];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *producer(void *number)
{
    for (int i = 0; i < EACH; i++) {
        demi_sgarray_t sga = demi_sgaalloc(sizeof(int));
        *(int *)sga.sga_segs[0].sgaseg_buf = (int)(intptr_t)number * EACH + i;
        push_all(qd, sga);
    }
    return NULL;
}

static void *consumer(void *unused)
{
    (void)unused;
    for (int i = 0; i < EACH; i++) {
        demi_sgarray_t sga = popped(qd);
        pthread_mutex_lock(&lock);
        seen[*(int *)sga.sga_segs[0].sgaseg_buf]++;
        pthread_mutex_unlock(&lock);
        OK(demi_sgafree(&sga));
    }
    return NULL;
}

static void producers_and_consumers(void)
{
    pthread_t threads[2 * WORKERS];
    OK(demi_queue(&qd, 8));
    for (intptr_t i = 0; i < WORKERS; i++) {
        OK(pthread_create(&threads[i], NULL, producer, (void *)i));
        OK(pthread_create(&threads[WORKERS + i], NULL, consumer, NULL));
    }
    for (int i = 0; i < 2 * WORKERS; i++)
        OK(pthread_join(threads[i], NULL));
    for (int i = 0; i < WORKERS * EACH; i++)
        IS(seen[i], 1);
    OK(demi_close(qd));
}

static void *sleeper(void *qt)
{
    demi_qresult_t qr;
    OK(demi_wait(&qr, *(demi_qtoken_t *)qt, NULL));
    IS(qr.qr_opcode, DEMI_OPC_POP);
    OK(demi_sgafree(&qr.qr_value.sga));
    return NULL;
}

/* Threads asleep on connections of their own are woken by the kernel, those on memory by a push. */
static void sleepers(void)
{
    struct both ends[WORKERS];
    demi_qtoken_t qts[2 * WORKERS];
    pthread_t threads[2 * WORKERS];
    int queues[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        ends[i] = connected();
        OK(demi_queue(&queues[i], 1));
        OK(demi_pop(&qts[i], ends[i].peer));
        OK(demi_pop(&qts[WORKERS + i], queues[i]));
    }
    for (int i = 0; i < 2 * WORKERS; i++)
        OK(pthread_create(&threads[i], NULL, sleeper, &qts[i]));
    uint64_t before = demi_count(DEMI_LOOKS);
    usleep(50000);
    IS(demi_count(DEMI_SLEPT) > 0, 1);
    usleep(100000);
    IS(demi_count(DEMI_LOOKS) - before < 100000, 1); /* nobody spins for ever */
    for (int i = WORKERS - 1; i >= 0; i--) {
        push_all(ends[i].client, array("x"));
        push_all(queues[i], array("y"));
    }
    for (int i = 0; i < 2 * WORKERS; i++)
        OK(pthread_join(threads[i], NULL));
    for (int i = 0; i < WORKERS; i++) {
        close_all(ends[i]);
        OK(demi_close(queues[i]));
    }
}

/* One completion wakes one thread, and perhaps a second one that watches the kernel from then on; the others sleep on. */
static void one_wakes(void)
{
    enum { SLEEPERS = 8 };
    int queues[SLEEPERS];
    demi_qtoken_t qts[SLEEPERS];
    pthread_t threads[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++) {
        OK(demi_queue(&queues[i], 1));
        OK(demi_pop(&qts[i], queues[i]));
        OK(pthread_create(&threads[i], NULL, sleeper, &qts[i]));
    }
    usleep(100000);
    for (int i = 0; i < SLEEPERS; i++) {
        uint64_t before = demi_count(DEMI_SLEPT);
        push_all(queues[i], array("x"));
        OK(pthread_join(threads[i], NULL));
        usleep(20000);
        IS(demi_count(DEMI_SLEPT) - before <= 2, 1);
        OK(demi_close(queues[i]));
    }
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    producers_and_consumers();
    sleepers();
    one_wakes();
    return end();
}
