/* Whose a buffer is, and that nobody copies it: proven by the libOS's counters and by addresses. */
#include "check.h"

static uint64_t copied(void) { return demi_count(DEMI_COPIED); }

static void a_queue_in_memory_hands_over(void)
{
    int qd;
    uint64_t before = copied();
    demi_qtoken_t qt;
    demi_sgarray_t sga = demi_sgaalloc(100000), more = demi_sgaalloc(70);
    OK(demi_queue(&qd, 1));
    sga.sga_segs[1] = more.sga_segs[0];
    sga.sga_segs[2].sgaseg_buf = (char *)more.sga_segs[0].sgaseg_buf + 30; /* two segments of one buffer */
    sga.sga_segs[2].sgaseg_len = 40;
    sga.sga_numsegs = 3;
    OK(demi_push(&qt, qd, &sga));
    demi_sgarray_t got = popped(qd);
    IS(got.sga_numsegs, 3);
    IS(memcmp(got.sga_segs, sga.sga_segs, 3 * sizeof *sga.sga_segs), 0);
    IS(result_of(qt).qr_opcode, DEMI_OPC_PUSH);
    IS(copied(), before);
    OK(demi_sgafree(&sga)); /* each has it once */
    memset(got.sga_segs[0].sgaseg_buf, 1, 100000);
    IS(demi_count(DEMI_LIVE_OBJECTS), 2);
    OK(demi_sgafree(&got));
    IS(demi_sgafree(&got), EINVAL);
    IS(demi_sgafree(&sga), EINVAL);
    OK(demi_close(qd));
}

static void large_buffers_are_not_copied(void)
{
    struct both ends = connected();
    for (int i = 0; i < 100; i++) { /* on the kernel and on rings */
        push_all(ends.client, array("x"));
        expect(ends.peer, "x");
    }
    uint64_t before = copied();
    for (int i = 0; i < 20; i++) {
        demi_sgarray_t sga = demi_sgaalloc(1500);
        push_all(ends.client, sga);
        size_t left = 1500;
        while (left) {
            demi_sgarray_t got = popped(ends.peer);
            left -= got.sga_segs[0].sgaseg_len;
            OK(demi_sgafree(&got));
        }
    }
    IS(copied() - before <= 1024 * 20, 1); /* at most the tail of one that came in two */
    close_all(ends);
}

static void freed_in_flight_is_intact_until_complete(void)
{
    struct both ends = connected();
    demi_qtoken_t qts[16];
    size_t left = 0, at = 0;
    for (int i = 0; i < 16; i++) {
        demi_sgarray_t sga = demi_sgaalloc(1 << 20);
        memset(sga.sga_segs[0].sgaseg_buf, 'a' + i, 1 << 20);
        OK(demi_push(&qts[i], ends.client, &sga));
        OK(demi_sgafree(&sga));
        IS(demi_sgafree(&sga), EINVAL);
        left += 1 << 20;
    }
    demi_sgarray_t others[16]; /* would lie where those were */
    for (int i = 0; i < 16; i++) {
        others[i] = demi_sgaalloc(1 << 20);
        memset(others[i].sga_segs[0].sgaseg_buf, 'z', 1 << 20);
    }
    while (left) {
        demi_sgarray_t got = popped(ends.peer);
        const char *bytes = got.sga_segs[0].sgaseg_buf;
        for (uint32_t k = 0; k < got.sga_segs[0].sgaseg_len; k++, at++)
            if (bytes[k] != (char)('a' + (at >> 20)))
                IS(bytes[k], 'a' + (at >> 20));
        left -= got.sga_segs[0].sgaseg_len;
        OK(demi_sgafree(&got));
    }
    for (int i = 0; i < 16; i++) {
        IS(result_of(qts[i]).qr_opcode, DEMI_OPC_PUSH);
        OK(demi_sgafree(&others[i]));
    }
    close_all(ends);
}

static void refused(void)
{
    int qd;
    demi_qtoken_t qt;
    demi_sgarray_t sga = array("mine"), both = sga, stale = sga, other = array("other");
    void *foreign = malloc(64);
    OK(demi_queue(&qd, 4));
    both.sga_segs[1] = other.sga_segs[0];
    both.sga_numsegs = 2;
    OK(demi_sgafree(&other));
    IS(demi_sgafree(&both), EINVAL); /* one of them is nobody's: none is freed */
    IS(demi_push(&qt, qd, &both), EINVAL);
    IS(demi_count(DEMI_LIVE_OBJECTS), 1);
    OK(demi_sgafree(&sga));
    IS(demi_sgafree(&stale), EINVAL);
    stale.sga_segs[0].sgaseg_buf = foreign;
    IS(demi_sgafree(&stale), EINVAL);
    IS(demi_push(&qt, qd, &stale), EINVAL);
    free(foreign);
    OK(demi_close(qd));
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    a_queue_in_memory_hands_over();
    large_buffers_are_not_copied();
    freed_in_flight_is_intact_until_complete();
    refused();
    return end();
}
