/* Every kind of operation, waited for in every way: complete, pending, failed, its queue closed before or meanwhile. */
#include "check.h"

enum how { ONE, ANY, NEXT, HOWS };

static int by(enum how how, demi_qresult_t *qr, demi_qtoken_t qt, const struct timespec *timeout)
{
    int offset = -1, n = -1;
    if (how == ONE)
        return demi_wait(qr, qt, timeout);
    int r = how == ANY ? demi_wait_any(qr, &offset, &qt, 1, timeout) : demi_wait_next_n(qr, 1, &n, timeout);
    if (r == 0)
        IS(how == ANY ? offset : n, how == ANY ? 0 : 1);
    return r;
}

static void complete(enum how how)
{
    struct both ends = connected();
    demi_qtoken_t qt;
    demi_qresult_t qr;
    demi_sgarray_t sga = array("hello");
    OK(demi_push(&qt, ends.client, &sga));
    OK(by(how, &qr, qt, NULL));
    IS(qr.qr_opcode, DEMI_OPC_PUSH);
    IS(qr.qr_qd, ends.client);
    IS(qr.qr_value.sga.sga_segs[0].sgaseg_buf == sga.sga_segs[0].sgaseg_buf, 1);
    OK(demi_sgafree(&sga));
    OK(demi_pop(&qt, ends.peer));
    OK(by(how, &qr, qt, &LONG));
    IS(qr.qr_opcode, DEMI_OPC_POP);
    OK(demi_sgafree(&qr.qr_value.sga));
    close_all(ends);
}

static void pending(enum how how)
{
    struct both ends = connected();
    demi_qtoken_t popping, accepting;
    demi_qresult_t qr;
    OK(demi_pop(&popping, ends.peer));
    OK(demi_accept(&accepting, ends.server));
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    IS(by(how, &qr, popping, &SHORT), ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &after);
    long long ns = (after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec;
    IS(ns >= SHORT.tv_nsec && ns < 1000000000, 1);
    IS(by(how, &qr, accepting, &LOOK), ETIMEDOUT);
    push_all(ends.client, array("x")); /* a wait that timed out has lost nothing */
    OK(by(how, &qr, popping, &LONG));
    IS(qr.qr_qt, popping);
    OK(demi_sgafree(&qr.qr_value.sga));
    close_all(ends);
    OK(by(how, &qr, accepting, NULL));
    IS(qr.qr_opcode, DEMI_OPC_FAILED);
    IS(qr.qr_ret, ECANCELED);
    IS(qr.qr_qt, accepting);
}

static void failed(enum how how)
{
    struct sockaddr_in address;
    int placeholder = listening(&address), qd;
    demi_qtoken_t qt;
    demi_qresult_t qr;
    OK(demi_close(placeholder));
    OK(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
    OK(demi_connect(&qt, qd, (struct sockaddr *)&address, sizeof address));
    OK(by(how, &qr, qt, &LONG));
    IS(qr.qr_opcode, DEMI_OPC_FAILED);
    IS(qr.qr_ret, ECONNREFUSED);
    OK(demi_pop(&qt, qd));
    OK(by(how, &qr, qt, &LONG));
    IS(qr.qr_opcode, DEMI_OPC_FAILED);
    IS(qr.qr_ret, ENOTCONN);
    OK(demi_close(qd));
}

static void *closer(void *qd)
{
    usleep(20000);
    OK(demi_close((int)(intptr_t)qd));
    return NULL;
}

static void closed_meanwhile(enum how how)
{
    struct both ends = connected();
    demi_qtoken_t qt;
    demi_qresult_t qr;
    pthread_t thread;
    OK(demi_pop(&qt, ends.peer));
    OK(pthread_create(&thread, NULL, closer, (void *)(intptr_t)ends.peer));
    OK(by(how, &qr, qt, NULL));
    IS(qr.qr_opcode, DEMI_OPC_FAILED);
    IS(qr.qr_ret, ECANCELED);
    OK(pthread_join(thread, NULL));
    OK(demi_close(ends.client));
    OK(demi_close(ends.server));
}

static void any_of_many(void)
{
    struct both ends[8];
    demi_qtoken_t qts[8];
    for (int i = 0; i < 8; i++) {
        ends[i] = connected();
        OK(demi_pop(&qts[i], ends[i].peer));
    }
    for (int i = 7; i >= 0; i--) {
        demi_qresult_t qr;
        int offset;
        push_all(ends[i].client, array("x"));
        OK(demi_wait_any(&qr, &offset, qts, 8, &LONG));
        IS(offset, i);
        IS(qr.qr_qd, ends[i].peer);
        OK(demi_sgafree(&qr.qr_value.sga));
        OK(demi_pop(&qts[i], ends[i].peer));
    }
    for (int i = 0; i < 8; i++)
        close_all(ends[i]);
    for (int i = 0; i < 8; i++)
        IS(failure_of(qts[i]), ECANCELED);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (enum how how = ONE; how < HOWS; how++) {
        complete(how);
        pending(how);
        failed(how);
        closed_meanwhile(how);
    }
    any_of_many();
    return end();
}
