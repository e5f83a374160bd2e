/* Queues in memory: order, room, time-outs, fairness, the end. */
#include "check.h"

static void in_order(void)
{
    int qd;
    OK(demi_queue(&qd, 4));
    push_all(qd, array("one"));
    push_all(qd, array("two"));
    push_all(qd, array("three"));
    expect(qd, "one");
    expect(qd, "two");
    expect(qd, "three");
    OK(demi_close(qd));
}

static void a_full_one_makes_a_push_wait(void)
{
    int qd;
    demi_qtoken_t qts[5];
    demi_qresult_t qr;
    demi_sgarray_t sgas[5];
    char text[2] = "a";
    OK(demi_queue(&qd, 3));
    for (int i = 0; i < 5; i++, text[0]++) {
        sgas[i] = array(text);
        OK(demi_push(&qts[i], qd, &sgas[i]));
        OK(demi_sgafree(&sgas[i])); /* the libOS has it */
    }
    IS(demi_wait(&qr, qts[4], &SHORT), ETIMEDOUT);
    for (text[0] = 'a'; text[0] < 'f'; text[0]++)
        expect(qd, text);
    for (int i = 0; i < 5; i++)
        IS(result_of(qts[i]).qr_opcode, DEMI_OPC_PUSH);
    OK(demi_close(qd));
}

static void pops_wait_in_line(void)
{
    int qd, offset;
    demi_qtoken_t qts[3];
    demi_qresult_t qr;
    OK(demi_queue(&qd, 3));
    for (int i = 0; i < 3; i++)
        OK(demi_pop(&qts[i], qd));
    IS(demi_wait_any(&qr, &offset, qts, 3, &LOOK), ETIMEDOUT);
    push_all(qd, array("x"));
    OK(demi_wait_any(&qr, &offset, qts, 3, NULL));
    IS(offset, 0);
    IS(qr.qr_qt, qts[0]);
    OK(demi_sgafree(&qr.qr_value.sga));
    OK(demi_close(qd));
    IS(failure_of(qts[1]), ECANCELED);
    IS(failure_of(qts[2]), ECANCELED);
}

static void closing_frees_what_nobody_popped(void)
{
    int qd;
    OK(demi_queue(&qd, 100));
    for (int i = 0; i < 100; i++)
        push_all(qd, array("left"));
    IS(demi_count(DEMI_LIVE_OBJECTS), 100);
    OK(demi_close(qd));
    IS(demi_close(qd), EBADF);
}

static void the_next_of_all(void)
{
    int qds[3], n;
    demi_qtoken_t qts[3];
    demi_qresult_t qrs[5];
    for (int i = 0; i < 3; i++) {
        OK(demi_queue(&qds[i], 1));
        OK(demi_pop(&qts[i], qds[i]));
    }
    IS(demi_wait_next_n(qrs, 5, &n, &LOOK), ETIMEDOUT);
    IS(n, 0);
    for (int i = 2; i >= 0; i--)
        push_all(qds[i], array("x"));
    OK(demi_wait_next_n(qrs, 2, &n, NULL));
    IS(n, 2);
    OK(demi_wait_next_n(qrs + 2, 3, &n, NULL));
    IS(n, 1);
    for (int i = 0; i < 3; i++) { /* in the order of completion */
        IS(qrs[i].qr_qd, qds[2 - i]);
        IS(qrs[i].qr_qt, qts[2 - i]);
        OK(demi_sgafree(&qrs[i].qr_value.sga));
        OK(demi_close(qds[i]));
    }
}

static void nobody_starves(void)
{
    enum { QUEUES = 64, ROUNDS = 6400 };
    int qds[QUEUES], served[QUEUES] = {0}, offset;
    demi_qtoken_t qts[QUEUES];
    for (int i = 0; i < QUEUES; i++) {
        OK(demi_queue(&qds[i], 4));
        push_all(qds[i], array("x"));
        OK(demi_pop(&qts[i], qds[i]));
    }
    for (int i = 0; i < ROUNDS; i++) {
        demi_qresult_t qr;
        OK(demi_wait_any(&qr, &offset, qts, QUEUES, NULL));
        served[offset]++;
        push_all(qds[offset], qr.qr_value.sga);
        OK(demi_pop(&qts[offset], qds[offset]));
    }
    for (int i = 0; i < QUEUES; i++) {
        if (served[i] < ROUNDS / QUEUES * 9 / 10)
            IS(served[i], ROUNDS / QUEUES);
        demi_qresult_t qr = result_of(qts[i]);
        OK(demi_sgafree(&qr.qr_value.sga));
        OK(demi_close(qds[i]));
    }
}

static void numbers_are_not_given_again_at_once(void)
{
    int first, second;
    demi_qtoken_t qt;
    OK(demi_queue(&first, 1));
    OK(demi_close(first));
    OK(demi_queue(&second, 1));
    IS(first != second, 1);
    IS(demi_pop(&qt, first), EBADF);
    OK(demi_close(second));
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    in_order();
    a_full_one_makes_a_push_wait();
    pops_wait_in_line();
    closing_frees_what_nobody_popped();
    the_next_of_all();
    nobody_starves();
    numbers_are_not_given_again_at_once();
    return end();
}
