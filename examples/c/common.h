/* What the programs here have in common: calls that must not fail, an address, the two ways to a connection. */
#ifndef COMMON_H
#define COMMON_H

#define _POSIX_C_SOURCE 200809L
#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUST(call) must(#call, call)

static inline void must(const char *what, int error)
{
    if (error) {
        fprintf(stderr, "%s: %s\n", what, strerror(error));
        exit(1);
    }
}

/* The result of an operation that has to go well. */
static inline demi_qresult_t finish(demi_qtoken_t qt)
{
    demi_qresult_t qr;
    MUST(demi_wait(&qr, qt, NULL));
    must("operation", qr.qr_opcode == DEMI_OPC_FAILED ? (int)qr.qr_ret : 0);
    return qr;
}

static inline struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline int listen_at(const char *port)
{
    int qd;
    struct sockaddr_in address = loopback(port);
    MUST(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
    MUST(demi_bind(qd, (struct sockaddr *)&address, sizeof address));
    MUST(demi_listen(qd, 64));
    printf("listening at %s\n", port);
    fflush(stdout);
    return qd;
}

static inline int accept_one(int listener)
{
    demi_qtoken_t qt;
    MUST(demi_accept(&qt, listener));
    return finish(qt).qr_value.ares.qd;
}

static inline int connect_to(const char *port)
{
    int qd;
    demi_qtoken_t qt;
    struct sockaddr_in address = loopback(port);
    MUST(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
    MUST(demi_connect(&qt, qd, (struct sockaddr *)&address, sizeof address));
    finish(qt);
    return qd;
}

static inline void push(int qd, demi_sgarray_t *sga)
{
    demi_qtoken_t qt;
    MUST(demi_push(&qt, qd, sga));
    finish(qt);
    MUST(demi_sgafree(sga));
}

static inline demi_sgarray_t pop(int qd)
{
    demi_qtoken_t qt;
    MUST(demi_pop(&qt, qd));
    return finish(qt).qr_value.sga;
}

static inline double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The program's first words: its role, server or client, and a port of 127.0.0.1. */
static inline int is_server(int argc, char **argv)
{
    struct demi_args args = {argc, argv, NULL};
    if (argc < 3 || (strcmp(argv[1], "server") && strcmp(argv[1], "client"))) {
        fprintf(stderr, "usage: %s server|client PORT [--catnap|--catloop]\n", argv[0]);
        exit(2);
    }
    MUST(demi_init(&args));
    return argv[1][0] == 's';
}

#endif
