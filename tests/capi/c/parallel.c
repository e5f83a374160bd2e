/* Threads whose system calls are under way at the same time: at one queue from both sides, and at one that is being closed. */
#include "check.h"

enum { THREADS = 3, MESSAGES = 400, SIZE = 100, CLOSES = 30 };

static struct both ends;
static uint64_t sent, seen, left;

static void *pusher(void *first)
{
    uint64_t sum = 0;
    for (int i = 0; i < MESSAGES; i++) {
        demi_sgarray_t sga = demi_sgaalloc(SIZE);
        unsigned char *bytes = sga.sga_segs[0].sgaseg_buf;
        for (int k = 0; k < SIZE; k++)
            sum += bytes[k] = (unsigned char)(*(int *)first + i * 7 + k);
        push_all(ends.client, sga);
    }
    __atomic_add_fetch(&sent, sum, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Until nothing is left: its last pop is cancelled by the close. */
static void *popper(void *unused)
{
    for (;;) {
        demi_qtoken_t qt;
        demi_qresult_t qr;
        uint64_t sum = 0;
        int r = demi_pop(&qt, ends.peer);
        if (r) {
            IS(r, EBADF);
            return unused;
        }
        OK(demi_wait(&qr, qt, &LONG));
        if (qr.qr_opcode == DEMI_OPC_FAILED) {
            IS(qr.qr_ret, ECANCELED);
            return unused;
        }
        uint32_t size = qr.qr_value.sga.sga_segs[0].sgaseg_len;
        for (uint32_t k = 0; k < size; k++)
            sum += ((unsigned char *)qr.qr_value.sga.sga_segs[0].sgaseg_buf)[k];
        OK(demi_sgafree(&qr.qr_value.sga));
        __atomic_add_fetch(&seen, sum, __ATOMIC_SEQ_CST);
        __atomic_sub_fetch(&left, size, __ATOMIC_SEQ_CST);
    }
}

/* Every byte comes out once, whoever drives which line for whom. */
static void both_sides_of_one(void)
{
    pthread_t pushers[THREADS], poppers[THREADS];
    int numbers[THREADS];
    ends = connected();
    left = THREADS * MESSAGES * SIZE;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i * 50;
        OK(pthread_create(&poppers[i], NULL, popper, NULL));
        OK(pthread_create(&pushers[i], NULL, pusher, &numbers[i]));
    }
    for (int i = 0; i < THREADS; i++)
        OK(pthread_join(pushers[i], NULL));
    for (int turns = 0; __atomic_load_n(&left, __ATOMIC_SEQ_CST) && turns < 5000; turns++)
        usleep(1000);
    IS(left, 0);
    OK(demi_close(ends.peer));
    for (int i = 0; i < THREADS; i++)
        OK(pthread_join(poppers[i], NULL));
    IS(seen, sent);
    OK(demi_close(ends.client));
    OK(demi_close(ends.server));
}

/* Pushes and pops one after the other until the queue has gone. */
static void *user(void *argument)
{
    int qd = *(int *)argument, r = 0;
    while (!r) {
        demi_qtoken_t qts[2];
        demi_qresult_t qr;
        demi_sgarray_t sga = array("more");
        int n = 0;
        r = demi_push(&qts[0], qd, &sga);
        n += !r;
        OK(demi_sgafree(&sga));
        if (!r) {
            r = demi_pop(&qts[1], qd);
            n += !r;
        }
        for (int i = 0; i < n; i++) {
            qr = result_of(qts[i]);
            if (qr.qr_opcode == DEMI_OPC_POP)
                OK(demi_sgafree(&qr.qr_value.sga));
            else if (qr.qr_opcode == DEMI_OPC_FAILED)
                IS(qr.qr_ret == ECANCELED || qr.qr_ret == ECONNRESET || qr.qr_ret == EPIPE, 1);
        }
    }
    IS(r, EBADF);
    return NULL;
}

static void closed_in_the_middle(void)
{
    for (int i = 0; i < CLOSES; i++) {
        struct both pair = connected();
        pthread_t threads[4];
        int *qds[4] = {&pair.client, &pair.peer, &pair.client, &pair.peer};
        for (int k = 0; k < 4; k++)
            OK(pthread_create(&threads[k], NULL, user, qds[k]));
        usleep(i * 100);
        OK(demi_close(pair.client));
        usleep(i % 3 * 500);
        OK(demi_close(pair.peer));
        for (int k = 0; k < 4; k++)
            OK(pthread_join(threads[k], NULL));
        OK(demi_close(pair.server));
    }
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    both_sides_of_one();
    closed_in_the_middle();
    return end();
}
