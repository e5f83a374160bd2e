/* The end of the heap's region: what is refused, and that nothing else breaks. */
#include "check.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    enum { MOST = 2048 };
    static demi_sgarray_t all[MOST];
    int n = 0;
    while (n < MOST && (all[n] = demi_sgaalloc(1 << 20)).sga_numsegs)
        n++;
    IS(n > 100 && n < MOST, 1);
    IS(demi_sgaalloc(1 << 20).sga_numsegs, 0);
    IS(demi_sgaalloc(1).sga_numsegs, 0);
    struct both ends = connected(); /* no memory, but no harm: a wait that sleeps, a pop that fails and takes nothing */
    demi_qtoken_t qt;
    demi_qresult_t qr;
    OK(demi_push(&qt, ends.client, &(demi_sgarray_t){.sga_numsegs = 1, .sga_segs = {{all[0].sga_segs[0].sgaseg_buf, 5}}}));
    IS(result_of(qt).qr_opcode, DEMI_OPC_PUSH);
    OK(demi_pop(&qt, ends.peer));
    IS(failure_of(qt), ENOMEM);
    OK(demi_accept(&qt, ends.server));
    IS(demi_wait(&qr, qt, &SHORT), ETIMEDOUT);
    OK(demi_sgafree(&all[--n]));
    demi_sgarray_t got = popped(ends.peer); /* what was freed is large enough */
    IS(got.sga_segs[0].sgaseg_len, 5);
    OK(demi_sgafree(&got));
    close_all(ends);
    IS(failure_of(qt), ECANCELED);
    while (n--)
        OK(demi_sgafree(&all[n]));
    demi_sgarray_t again = demi_sgaalloc(1 << 20);
    IS(again.sga_numsegs, 1);
    OK(demi_sgafree(&again));
    return end();
}
