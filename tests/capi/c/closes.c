/* Who closes first, with what in flight: client or server, one connection after the other or many at once. */
#include "check.h"

enum { CLIENTS = 32 };

/* The other side of a connection whose first end has been closed sees the end of the stream, or a reset. */
static void sees_the_end(int qd)
{
    demi_qtoken_t qt;
    OK(demi_pop(&qt, qd));
    demi_qresult_t qr = result_of(qt);
    if (qr.qr_opcode == DEMI_OPC_FAILED) {
        IS(qr.qr_ret, ECONNRESET);
        return;
    }
    IS(qr.qr_opcode, DEMI_OPC_POP);
    IS(qr.qr_value.sga.sga_segs[0].sgaseg_len, 0);
    OK(demi_sgafree(&qr.qr_value.sga));
}

static void one_by_one(int client_first)
{
    for (int i = 0; i < CLIENTS; i++) {
        struct both ends = connected();
        OK(demi_close(client_first ? ends.client : ends.peer));
        sees_the_end(client_first ? ends.peer : ends.client);
        OK(demi_close(client_first ? ends.peer : ends.client));
        OK(demi_close(ends.server));
    }
}

static void all_at_once(int client_first)
{
    struct both ends[CLIENTS];
    demi_qtoken_t qts[CLIENTS];
    int offset;
    for (int i = 0; i < CLIENTS; i++) {
        ends[i] = connected();
        OK(demi_pop(&qts[i], client_first ? ends[i].peer : ends[i].client));
    }
    for (int i = 0; i < CLIENTS; i++)
        OK(demi_close(client_first ? ends[i].client : ends[i].peer));
    for (int left = CLIENTS; left; left--) {
        demi_qresult_t qr;
        OK(demi_wait_any(&qr, &offset, qts, left, &LONG));
        IS(qr.qr_opcode, DEMI_OPC_POP);
        IS(qr.qr_value.sga.sga_segs[0].sgaseg_len, 0);
        OK(demi_sgafree(&qr.qr_value.sga));
        qts[offset] = qts[left - 1];
    }
    for (int i = 0; i < CLIENTS; i++) {
        OK(demi_close(client_first ? ends[i].peer : ends[i].client));
        OK(demi_close(ends[i].server));
    }
}

/* What is in flight at a queue that is closed completes as cancelled, and nothing can be begun there. */
static void in_flight(void)
{
    struct both ends = connected();
    demi_qtoken_t popping[3], pushing[40], qt;
    int blocked = 0;
    for (int i = 0; i < 3; i++)
        OK(demi_pop(&popping[i], ends.client));
    for (int i = 0; i < 40; i++) {
        demi_sgarray_t sga = demi_sgaalloc(1 << 20);
        memset(sga.sga_segs[0].sgaseg_buf, i, 1 << 20);
        OK(demi_push(&pushing[i], ends.client, &sga));
        OK(demi_sgafree(&sga));
    }
    OK(demi_close(ends.client));
    for (int i = 0; i < 3; i++)
        IS(failure_of(popping[i]), ECANCELED);
    for (int i = 0; i < 40; i++) {
        demi_qresult_t qr = result_of(pushing[i]);
        if (qr.qr_opcode == DEMI_OPC_PUSH)
            continue;
        IS(qr.qr_opcode, DEMI_OPC_FAILED);
        IS(qr.qr_ret, ECANCELED);
        blocked++;
    }
    IS(blocked > 0, 1);
    demi_sgarray_t sga = array("late");
    IS(demi_push(&qt, ends.client, &sga), EBADF);
    IS(demi_pop(&qt, ends.client), EBADF);
    IS(demi_close(ends.client), EBADF);
    OK(demi_sgafree(&sga));
    OK(demi_close(ends.peer));
    OK(demi_close(ends.server));
}

static void a_listener_and_a_socket_that_does_nothing(void)
{
    struct sockaddr_in address;
    int server = listening(&address), idle;
    demi_qtoken_t qts[2];
    OK(demi_accept(&qts[0], server));
    OK(demi_accept(&qts[1], server));
    OK(demi_close(server));
    IS(failure_of(qts[0]), ECANCELED);
    IS(failure_of(qts[1]), ECANCELED);
    OK(demi_socket(&idle, AF_INET, SOCK_STREAM, 0));
    OK(demi_close(idle));
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int client_first = 0; client_first < 2; client_first++) {
        one_by_one(client_first);
        all_at_once(client_first);
    }
    in_flight();
    a_listener_and_a_socket_that_does_nothing();
    return end();
}
