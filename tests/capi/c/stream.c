/* TCP within one process: bytes in their order, many segments, more than the socket's buffers hold, the end, the names. */
#include "check.h"

static void short_ones(int rings)
{
    struct both ends = connected();
    for (int i = 0; i < 400; i++) { /* past the uses after which Catloop's go to rings */
        if (i == 300)
            IS(demi_count(DEMI_RINGS) > 0, rings);
        push_all(ends.client, array("ping"));
        expect(ends.peer, "ping");
        push_all(ends.peer, array("pong"));
        expect(ends.client, "pong");
    }
    close_all(ends);
}

static void many_segments(void)
{
    struct both ends = connected();
    demi_sgarray_t sga = array("0123456789"), more;
    for (int i = 1; i < DEMI_SGARRAY_MAXSIZE; i++) {
        more = array("abcdefghij");
        sga.sga_segs[i] = more.sga_segs[0];
        sga.sga_segs[i].sgaseg_len = i % 10 + 1;
        sga.sga_numsegs++;
    }
    char whole[400] = "";
    size_t length = 0;
    for (unsigned i = 0; i < sga.sga_numsegs; i++) {
        memcpy(whole + length, sga.sga_segs[i].sgaseg_buf, sga.sga_segs[i].sgaseg_len);
        length += sga.sga_segs[i].sgaseg_len;
    }
    demi_qtoken_t qt;
    OK(demi_push(&qt, ends.client, &sga));
    demi_qresult_t qr = result_of(qt);
    IS(qr.qr_opcode, DEMI_OPC_PUSH);
    IS(qr.qr_value.sga.sga_numsegs, DEMI_SGARRAY_MAXSIZE);
    IS(memcmp(qr.qr_value.sga.sga_segs, sga.sga_segs, sizeof sga.sga_segs), 0);
    OK(demi_sgafree(&qr.qr_value.sga));
    expect(ends.peer, whole);
    close_all(ends);
}

enum { PIECE = 1 << 20, PIECES = 8 };

static void more_than_the_buffers_hold(void)
{
    struct both ends = connected();
    demi_qtoken_t qts[PIECES];
    demi_qresult_t qr;
    uint32_t sent = 0, seen = 0;
    size_t left = (size_t)PIECE * PIECES;
    for (int i = 0; i < PIECES; i++) {
        demi_sgarray_t sga = demi_sgaalloc(PIECE);
        uint32_t *words = sga.sga_segs[0].sgaseg_buf;
        for (int k = 0; k < PIECE / 4; k++)
            words[k] = sent++;
        OK(demi_push(&qts[i], ends.client, &sga));
        OK(demi_sgafree(&sga)); /* in flight: intact until it is complete */
    }
    if (!messages) /* which are read as soon as they are pushed */
        IS(demi_wait(&qr, qts[PIECES - 1], &SHORT), ETIMEDOUT);
    uint64_t word = 0;
    size_t at = 0;
    while (left) {
        demi_sgarray_t sga = popped(ends.peer);
        const unsigned char *bytes = sga.sga_segs[0].sgaseg_buf;
        for (uint32_t k = 0; k < sga.sga_segs[0].sgaseg_len; k++) {
            word |= (uint64_t)bytes[k] << at % 4 * 8;
            if (++at % 4 == 0) {
                IS(word, seen++);
                word = 0;
            }
        }
        left -= sga.sga_segs[0].sgaseg_len;
        OK(demi_sgafree(&sga));
    }
    for (int i = 0; i < PIECES; i++)
        IS(result_of(qts[i]).qr_opcode, DEMI_OPC_PUSH);
    close_all(ends);
}

static void the_end_is_an_array_of_no_bytes(void)
{
    struct both ends = connected();
    push_all(ends.client, array("last words"));
    OK(demi_close(ends.client));
    expect(ends.peer, "last words");
    expect(ends.peer, "");
    expect(ends.peer, "");
    OK(demi_close(ends.peer));
    OK(demi_close(ends.server));
}

static void names(void)
{
    struct both ends = connected();
    struct sockaddr_in here, there;
    socklen_t size = sizeof here;
    OK(demi_getsockname(ends.client, (struct sockaddr *)&here, &size));
    OK(demi_getpeername(ends.peer, (struct sockaddr *)&there, &size));
    IS(size, sizeof there);
    IS(here.sin_port, there.sin_port);
    IS(here.sin_addr.s_addr, there.sin_addr.s_addr);
    close_all(ends);
}

static void datagrams(void)
{
    int left, right;
    struct sockaddr_in addresses[2];
    int *qds[2] = {&left, &right};
    for (int i = 0; i < 2; i++) {
        socklen_t size = sizeof addresses[i];
        addresses[i] = local(0);
        OK(demi_socket(qds[i], AF_INET, SOCK_DGRAM, 0));
        OK(demi_bind(*qds[i], (struct sockaddr *)&addresses[i], size));
        OK(demi_getsockname(*qds[i], (struct sockaddr *)&addresses[i], &size));
    }
    demi_qtoken_t qt, popping;
    OK(demi_pop(&popping, right));
    demi_sgarray_t sga = array("whole message");
    OK(demi_pushto(&qt, left, &sga, (struct sockaddr *)&addresses[1], sizeof addresses[1]));
    IS(result_of(qt).qr_opcode, DEMI_OPC_PUSH);
    OK(demi_sgafree(&sga));
    demi_qresult_t qr = result_of(popping);
    IS(qr.qr_opcode, DEMI_OPC_POP);
    IS(qr.qr_value.sga.sga_segs[0].sgaseg_len, 13);
    IS(qr.qr_value.sga.sga_addr.sin_port, addresses[0].sin_port);
    IS(qr.qr_value.sga.sga_addr.sin_family, AF_INET);
    OK(demi_sgafree(&qr.qr_value.sga));
    OK(demi_close(left));
    OK(demi_close(right));
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    short_ones(strcmp(argv[1], "--catloop") == 0);
    many_segments();
    more_than_the_buffers_hold();
    the_end_is_an_array_of_no_bytes();
    names();
    if (!messages)
        datagrams();
    return end();
}
