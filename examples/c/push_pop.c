/* Push-pop: 64 MiB go one way in messages of 64 KiB, several in flight; the other end checks every byte.
 * Usage: push_pop server|client PORT [--catnap|--catloop] */
#include "common.h"

enum { SIZE = 65536, MESSAGES = 1024, FLIGHT = 8 };

static unsigned char byte_at(uint64_t at) { return (unsigned char)(at ^ at >> 16); }

static void send_all(int qd)
{
    demi_qtoken_t qts[FLIGHT];
    int n = 0, slot;
    for (int message = 0; message < MESSAGES || n;) {
        if (message < MESSAGES && n < FLIGHT) {
            demi_sgarray_t sga = demi_sgaalloc(SIZE);
            must("demi_sgaalloc", sga.sga_numsegs ? 0 : 12);
            for (int i = 0; i < SIZE; i++)
                ((unsigned char *)sga.sga_segs[0].sgaseg_buf)[i] = byte_at((uint64_t)message * SIZE + (uint64_t)i);
            MUST(demi_push(&qts[n++], qd, &sga));
            MUST(demi_sgafree(&sga));
            message++;
        } else {
            demi_qresult_t qr;
            MUST(demi_wait_any(&qr, &slot, qts, n, NULL));
            must("push", qr.qr_opcode == DEMI_OPC_FAILED ? (int)qr.qr_ret : 0);
            qts[slot] = qts[--n];
        }
    }
}

static void receive_all(int qd)
{
    uint64_t at = 0;
    for (uint32_t length = 1; length;) {
        demi_sgarray_t sga = pop(qd);
        const unsigned char *bytes = sga.sga_segs[0].sgaseg_buf;
        length = sga.sga_segs[0].sgaseg_len;
        for (uint32_t i = 0; i < length; i++, at++)
            must("a byte", bytes[i] == byte_at(at) ? 0 : 5);
        MUST(demi_sgafree(&sga));
    }
    must("the whole", at == (uint64_t)SIZE * MESSAGES ? 0 : 5);
}

int main(int argc, char **argv)
{
    int server = is_server(argc, argv), listener = -1;
    int qd = server ? accept_one(listener = listen_at(argv[2])) : connect_to(argv[2]);
    if (server)
        receive_all(qd);
    else
        send_all(qd);
    printf("%s %d MiB\n", server ? "received" : "sent", SIZE / 1024 * MESSAGES / 1024);
    MUST(demi_close(qd));
    if (server)
        MUST(demi_close(listener));
    return 0;
}
