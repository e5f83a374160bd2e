/* What the programs of tests/capi have in common: checks that say where they failed, and connections within one process. */
#ifndef CHECK_H
#define CHECK_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <demi/catflap.h>
#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IS(left, right) is(#left, (long long)(left), (long long)(right), __FILE__, __LINE__)
#define OK(call) IS(call, 0)

static inline void is(const char *what, long long found, long long expected, const char *file, int line)
{
    if (found == expected)
        return;
    fprintf(stderr, "%s:%d: %s is %lld (%s), not %lld\n", file, line, what, found, strerror((int)found), expected);
    exit(1);
}

static const struct timespec LOOK = {0, 0}, SHORT = {0, 20000000}, LONG = {5, 0};

/* Whether the libOS has messages over a fabric (Catmint): no datagrams, and no peers but its own. */
static int messages;

static inline void begin(int argc, char **argv)
{
    messages = argc > 1 && strcmp(argv[1], "--catmint") == 0;
    struct demi_args args = {argc, argv, NULL};
    OK(demi_init(&args));
}

static inline demi_qresult_t result_of(demi_qtoken_t qt)
{
    demi_qresult_t qr;
    OK(demi_wait(&qr, qt, &LONG));
    IS(qr.qr_qt, qt);
    return qr;
}

/* A qtoken that is to fail: its errno. */
static inline int failure_of(demi_qtoken_t qt)
{
    demi_qresult_t qr = result_of(qt);
    IS(qr.qr_opcode, DEMI_OPC_FAILED);
    return (int)qr.qr_ret;
}

static inline demi_sgarray_t array(const char *text)
{
    demi_sgarray_t sga = demi_sgaalloc(strlen(text));
    IS(sga.sga_numsegs, 1);
    memcpy(sga.sga_segs[0].sgaseg_buf, text, strlen(text));
    return sga;
}

static inline void push_all(int qd, demi_sgarray_t sga)
{
    demi_qtoken_t qt;
    OK(demi_push(&qt, qd, &sga));
    IS(result_of(qt).qr_opcode, DEMI_OPC_PUSH);
    OK(demi_sgafree(&sga));
}

static inline demi_sgarray_t popped(int qd)
{
    demi_qtoken_t qt;
    OK(demi_pop(&qt, qd));
    demi_qresult_t qr = result_of(qt);
    IS(qr.qr_opcode, DEMI_OPC_POP);
    return qr.qr_value.sga;
}

static inline void expect(int qd, const char *text)
{
    demi_sgarray_t sga = popped(qd);
    IS(sga.sga_numsegs, 1);
    IS(sga.sga_segs[0].sgaseg_len, strlen(text));
    IS(memcmp(sga.sga_segs[0].sgaseg_buf, text, strlen(text)), 0);
    OK(demi_sgafree(&sga));
}

static inline struct sockaddr_in local(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline int listening(struct sockaddr_in *address)
{
    int qd;
    socklen_t size = sizeof *address;
    *address = local(0);
    OK(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
    OK(demi_bind(qd, (struct sockaddr *)address, size));
    OK(demi_listen(qd, 16));
    OK(demi_getsockname(qd, (struct sockaddr *)address, &size));
    return qd;
}

struct both { int server, client, peer; };

static inline struct both connected(void)
{
    struct both ends;
    struct sockaddr_in address;
    demi_qtoken_t accepting, connecting;
    ends.server = listening(&address);
    OK(demi_socket(&ends.client, AF_INET, SOCK_STREAM, 0));
    OK(demi_accept(&accepting, ends.server));
    OK(demi_connect(&connecting, ends.client, (struct sockaddr *)&address, sizeof address));
    demi_qresult_t qr = result_of(connecting);
    IS(qr.qr_opcode, DEMI_OPC_CONNECT);
    IS(qr.qr_ret, 0);
    qr = result_of(accepting);
    IS(qr.qr_opcode, DEMI_OPC_ACCEPT);
    IS(qr.qr_qd, ends.server);
    IS(qr.qr_value.ares.addr.sin_family, AF_INET);
    ends.peer = qr.qr_value.ares.qd;
    return ends;
}

static inline void close_all(struct both ends)
{
    OK(demi_close(ends.client));
    OK(demi_close(ends.peer));
    OK(demi_close(ends.server));
}

static inline int end(void)
{
    demi_qresult_t qr; /* what was closed may need a few looks to be gone */
    for (int n, i = 0; messages && i < 5000 && demi_count(DEMI_LIVE_OBJECTS); i++)
        demi_wait_next_n(&qr, 1, &n, &LOOK);
    IS(demi_count(DEMI_LIVE_OBJECTS), 0);
    return 0;
}

#endif
