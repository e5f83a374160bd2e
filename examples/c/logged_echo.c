/* Echo that logs each message, durably, before it answers: network and storage in one wait.
 * Usage: logged_echo server PORT --cattree=FILE [--catnap|--catloop], logged_echo client PORT [--catnap|--catloop]. */
#include "common.h"

#include <demi/storage.h>

enum { CLIENTS = 64, SIZE = 64, ROUNDS = 1000 };

/* Slot 0 accepts; of each client one operation is under way: a pop, a push to the log of what it brought, a push back. */
static void serve(int listener, int log)
{
    demi_qtoken_t qts[CLIENTS + 1];
    demi_sgarray_t messages[CLIENTS + 1];
    int qds[CLIENTS + 1] = {listener}, n = 1, slot;
    MUST(demi_accept(&qts[0], listener));
    do {
        demi_qresult_t qr;
        MUST(demi_wait_any(&qr, &slot, qts, n, NULL));
        if (qr.qr_opcode == DEMI_OPC_ACCEPT) {
            if (n <= CLIENTS) {
                qds[n] = qr.qr_value.ares.qd;
                MUST(demi_pop(&qts[n], qds[n]));
                n++;
            } else {
                MUST(demi_close(qr.qr_value.ares.qd));
            }
            MUST(demi_accept(&qts[0], listener));
        } else if (qr.qr_opcode == DEMI_OPC_POP && qr.qr_value.sga.sga_segs[0].sgaseg_len) {
            messages[slot] = qr.qr_value.sga;
            MUST(demi_push(&qts[slot], log, &messages[slot]));
        } else if (qr.qr_qd == log) { /* nothing is answered that is not on the device */
            must("log", qr.qr_opcode == DEMI_OPC_PUSH ? 0 : (int)qr.qr_ret);
            MUST(demi_push(&qts[slot], qds[slot], &messages[slot]));
            MUST(demi_sgafree(&messages[slot])); /* the libOS keeps it until it is sent */
        } else if (qr.qr_opcode == DEMI_OPC_PUSH) {
            MUST(demi_pop(&qts[slot], qds[slot]));
        } else { /* the end of the stream, or a reset */
            if (qr.qr_opcode == DEMI_OPC_POP)
                MUST(demi_sgafree(&qr.qr_value.sga));
            MUST(demi_close(qds[slot]));
            n--;
            qts[slot] = qts[n];
            qds[slot] = qds[n];
            messages[slot] = messages[n];
        }
    } while (n > 1);
    int64_t first, end;
    MUST(demi_bounds(log, &first, &end));
    fprintf(stderr, "logged %ld bytes\n", (long)(end - first));
}

static void ask(int qd)
{
    double began = seconds();
    for (int round = 0; round < ROUNDS; round++) {
        demi_sgarray_t sga = demi_sgaalloc(SIZE);
        must("demi_sgaalloc", sga.sga_numsegs ? 0 : 12);
        memset(sga.sga_segs[0].sgaseg_buf, round, SIZE);
        push(qd, &sga);
        for (uint32_t seen = 0; seen < SIZE; seen += sga.sga_segs[0].sgaseg_len, MUST(demi_sgafree(&sga)))
            sga = pop(qd);
    }
    printf("%d durable echoes, %.1f us each\n", ROUNDS, (seconds() - began) / ROUNDS * 1e6);
}

int main(int argc, char **argv)
{
    int server = is_server(argc, argv), qd = server ? listen_at(argv[2]) : connect_to(argv[2]), log;
    if (server) {
        MUST(demi_open(&log, "messages", O_CREAT));
        serve(qd, log);
        MUST(demi_close(log));
    } else {
        ask(qd);
    }
    MUST(demi_close(qd));
    return 0;
}
