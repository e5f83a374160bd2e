/* More connections than a look looks at one by one: each is heard, by who spins and by who sleeps, whichever it is. */
#include "check.h"

enum { CONNECTIONS = 24, ROUNDS = 6 };

static struct both ends[CONNECTIONS];
static demi_qtoken_t popping[CONNECTIONS];

static void talk(struct both pair, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        push_all(pair.client, array("ping"));
        expect(pair.peer, "ping");
        push_all(pair.peer, array("pong"));
        expect(pair.client, "pong");
    }
}

static void heard(int which)
{
    demi_qresult_t qr;
    int offset;
    OK(demi_wait_any(&qr, &offset, popping, CONNECTIONS, &LONG));
    IS(offset, which);
    IS(qr.qr_opcode, DEMI_OPC_POP);
    IS(memcmp(qr.qr_value.sga.sga_segs[0].sgaseg_buf, "news", 4), 0);
    OK(demi_sgafree(&qr.qr_value.sga));
    OK(demi_pop(&popping[which], ends[which].peer));
}

static void *pusher(void *qd)
{
    usleep(20000); /* the others sleep by then */
    push_all(*(int *)qd, array("news"));
    return NULL;
}

static void each_is_heard(void)
{
    for (int i = 0; i < CONNECTIONS; i++)
        OK(demi_pop(&popping[i], ends[i].peer));
    for (int i = 0; i < ROUNDS * CONNECTIONS; i++) {
        int which = i * 7 % CONNECTIONS;
        pthread_t thread;
        if (i < CONNECTIONS)
            OK(pthread_create(&thread, NULL, pusher, &ends[which].client));
        else
            push_all(ends[which].client, array("news"));
        heard(which);
        if (i < CONNECTIONS)
            OK(pthread_join(thread, NULL));
    }
}

/* A push that waits for room hears of it too. */
static void room_is_heard_of(struct both pair)
{
    enum { SIZE = 1 << 20, PUSHES = 8 };
    demi_qtoken_t qts[PUSHES];
    size_t left = (size_t)SIZE * PUSHES;
    for (int i = 0; i < PUSHES; i++) {
        demi_sgarray_t sga = demi_sgaalloc(SIZE);
        memset(sga.sga_segs[0].sgaseg_buf, i, SIZE);
        OK(demi_push(&qts[i], pair.client, &sga));
        OK(demi_sgafree(&sga));
    }
    while (left) {
        demi_sgarray_t sga = popped(pair.peer);
        left -= sga.sga_segs[0].sgaseg_len;
        OK(demi_sgafree(&sga));
    }
    for (int i = 0; i < PUSHES; i++)
        IS(result_of(qts[i]).qr_opcode, DEMI_OPC_PUSH);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int i = 0; i < CONNECTIONS; i++) {
        uint64_t before = demi_count(DEMI_RINGS);
        ends[i] = connected();
        talk(ends[i], 100); /* past the uses after which Catloop's go to rings */
        IS(demi_count(DEMI_RINGS) > before, strcmp(argv[1], "--catloop") == 0);
    }
    each_is_heard();
    for (int i = 0; i < CONNECTIONS; i++) {
        OK(demi_close(ends[i].client)); /* the end is heard of as well */
        demi_qresult_t qr = result_of(popping[i]);
        IS(qr.qr_value.sga.sga_segs[0].sgaseg_len, 0);
        OK(demi_sgafree(&qr.qr_value.sga));
        OK(demi_close(ends[i].peer));
        OK(demi_close(ends[i].server));
        ends[i] = connected(); /* in the place of the one that has gone */
        talk(ends[i], 100);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        room_is_heard_of(ends[i]);
    for (int i = 0; i < CONNECTIONS; i++)
        close_all(ends[i]);
    return end();
}
