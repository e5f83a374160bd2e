/* Ping-pong: 64 bytes go to and fro 1024 times; each end checks what it gets and sends back one more.
 * Usage: ping_pong server|client PORT [--catnap|--catloop] */
#include "common.h"

enum { SIZE = 64, ROUNDS = 1024 };

static void send_ball(int qd, int number)
{
    demi_sgarray_t sga = demi_sgaalloc(SIZE);
    must("demi_sgaalloc", sga.sga_numsegs ? 0 : 12);
    memset(sga.sga_segs[0].sgaseg_buf, number, SIZE);
    push(qd, &sga);
}

static void catch_ball(int qd, int number)
{
    for (uint32_t seen = 0; seen < SIZE;) {
        demi_sgarray_t sga = pop(qd);
        const unsigned char *bytes = sga.sga_segs[0].sgaseg_buf;
        for (uint32_t i = 0; i < sga.sga_segs[0].sgaseg_len; i++)
            must("the ball", bytes[i] == (unsigned char)number ? 0 : 5);
        must("the end", sga.sga_segs[0].sgaseg_len ? 0 : 104);
        seen += sga.sga_segs[0].sgaseg_len;
        MUST(demi_sgafree(&sga));
    }
}

int main(int argc, char **argv)
{
    int server = is_server(argc, argv), listener = -1;
    int qd = server ? accept_one(listener = listen_at(argv[2])) : connect_to(argv[2]);
    for (int round = 0; round < ROUNDS; round++) {
        if (server) {
            catch_ball(qd, 2 * round);
            send_ball(qd, 2 * round + 1);
        } else {
            send_ball(qd, 2 * round);
            catch_ball(qd, 2 * round + 1);
        }
    }
    printf("%d rounds\n", ROUNDS);
    MUST(demi_close(qd));
    if (server)
        MUST(demi_close(listener));
    return 0;
}
