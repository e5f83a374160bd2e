/* Echo: a server for up to 64 clients at once, all waited for together; a client that checks what comes back.
 * Usage: echo server|client PORT [--catnap|--catloop]. The server ends when its last client has gone. */
#include "common.h"

enum { CLIENTS = 64, SIZE = 64, ROUNDS = 20000 };

/* Slot 0 accepts, the others each pop from or push to one client. */
static void serve(int listener)
{
    demi_qtoken_t qts[CLIENTS + 1];
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
            MUST(demi_push(&qts[slot], qds[slot], &qr.qr_value.sga));
            MUST(demi_sgafree(&qr.qr_value.sga)); /* the libOS keeps it until it is sent */
        } else if (qr.qr_opcode == DEMI_OPC_PUSH) {
            MUST(demi_pop(&qts[slot], qds[slot]));
        } else { /* the end of the stream, or a reset */
            if (qr.qr_opcode == DEMI_OPC_POP)
                MUST(demi_sgafree(&qr.qr_value.sga));
            MUST(demi_close(qds[slot]));
            n--;
            qts[slot] = qts[n];
            qds[slot] = qds[n];
        }
    } while (n > 1);
}

static void ask(int qd)
{
    double began = seconds();
    for (int round = 0; round < ROUNDS; round++) {
        demi_sgarray_t sga = demi_sgaalloc(SIZE);
        must("demi_sgaalloc", sga.sga_numsegs ? 0 : 12);
        memset(sga.sga_segs[0].sgaseg_buf, round, SIZE);
        push(qd, &sga);
        for (uint32_t seen = 0; seen < SIZE; seen += sga.sga_segs[0].sgaseg_len, MUST(demi_sgafree(&sga))) {
            sga = pop(qd);
            const unsigned char *bytes = sga.sga_segs[0].sgaseg_buf;
            for (uint32_t i = 0; i < sga.sga_segs[0].sgaseg_len; i++)
                must("what came back", bytes[i] == (unsigned char)round ? 0 : 5);
        }
    }
    printf("%d echoes, %.0f ns each\n", ROUNDS, (seconds() - began) / ROUNDS * 1e9);
}

int main(int argc, char **argv)
{
    int server = is_server(argc, argv), qd = server ? listen_at(argv[2]) : connect_to(argv[2]);
    if (server)
        serve(qd);
    else
        ask(qd);
    MUST(demi_close(qd));
    return 0;
}
