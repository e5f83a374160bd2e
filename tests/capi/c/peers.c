/* Two processes, each with a libOS of its own: slow talk, much at once both ways, a peer that is killed, one with sockets. */
#include "check.h"

#include <signal.h>
#include <sys/wait.h>

static int argument_count;
static char **arguments;
static struct sockaddr_in address;
static int ready[2];

/* The child's end of a connection to us. */
static int to_parent(void)
{
    int qd;
    char byte;
    demi_qtoken_t qt;
    IS(read(ready[0], &byte, 1), 1);
    OK(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
    OK(demi_connect(&qt, qd, (struct sockaddr *)&address, sizeof address));
    IS(result_of(qt).qr_opcode, DEMI_OPC_CONNECT);
    return qd;
}

static void talk(int qd, int rounds, int first, int pause)
{
    for (int i = 0; i < rounds; i++) {
        if (first)
            push_all(qd, array("question"));
        expect(qd, first ? "answer" : "question");
        usleep(pause);
        if (!first)
            push_all(qd, array("answer"));
    }
}

enum { SIZE = 100000, PIECES = 300, FLIGHT = 4 };

static demi_sgarray_t pattern(size_t number)
{
    demi_sgarray_t sga = demi_sgaalloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        ((unsigned char *)sga.sga_segs[0].sgaseg_buf)[i] = (unsigned char)((number * SIZE + i) % 251);
    return sga;
}

/* Push and pop PIECES * SIZE bytes at the same time. */
static void both_ways(int qd)
{
    demi_qtoken_t qts[FLIGHT + 1];
    size_t sent = 0, seen = 0;
    int n = 1;
    OK(demi_pop(&qts[0], qd));
    for (;;) {
        demi_qresult_t qr;
        int offset;
        if (n <= FLIGHT && sent < PIECES) {
            demi_sgarray_t sga = pattern(sent);
            OK(demi_push(&qts[n++], qd, &sga));
            OK(demi_sgafree(&sga));
            sent++;
            continue;
        }
        OK(demi_wait_any(&qr, &offset, qts, n, &LONG));
        if (offset) {
            IS(qr.qr_opcode, DEMI_OPC_PUSH);
            qts[offset] = qts[--n];
            continue;
        }
        IS(qr.qr_opcode, DEMI_OPC_POP);
        for (uint32_t i = 0; i < qr.qr_value.sga.sga_segs[0].sgaseg_len; i++, seen++)
            if (((unsigned char *)qr.qr_value.sga.sga_segs[0].sgaseg_buf)[i] != seen % 251)
                IS(seen, -1);
        OK(demi_sgafree(&qr.qr_value.sga));
        if (seen < (size_t)SIZE * PIECES) {
            OK(demi_pop(&qts[0], qd));
            continue;
        }
        while (sent < PIECES || n > 1) { /* nothing comes any more: the rest of our own */
            if (sent < PIECES) {
                push_all(qd, pattern(sent++));
            } else {
                qr = result_of(qts[--n]);
                IS(qr.qr_opcode, DEMI_OPC_PUSH);
            }
        }
        return;
    }
}

static void child(void)
{
    begin(argument_count, arguments);
    int qd = to_parent();
    talk(qd, 200, 1, 0);
    talk(qd, 20, 1, 10000);
    OK(demi_close(qd));
    qd = to_parent();
    both_ways(qd);
    OK(demi_close(qd));
    qd = to_parent();
    talk(qd, 100, 1, 0);
    demi_qtoken_t qt;
    demi_qresult_t qr;
    OK(demi_pop(&qt, qd));
    demi_wait(&qr, qt, NULL); /* until we are killed */
    exit(1);
}

static int accepted(int server)
{
    demi_qtoken_t qt;
    OK(demi_accept(&qt, server));
    IS(write(ready[1], "x", 1), 1);
    return result_of(qt).qr_value.ares.qd;
}

int main(int argc, char **argv)
{
    argument_count = argc;
    arguments = argv;
    int placeholder = socket(AF_INET, SOCK_STREAM, 0), status, yes = 1;
    socklen_t size = sizeof address;
    address = local(0);
    OK(setsockopt(placeholder, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes));
    OK(bind(placeholder, (struct sockaddr *)&address, size));
    OK(getsockname(placeholder, (struct sockaddr *)&address, &size));
    OK(close(placeholder));
    OK(pipe(ready));
    pid_t pid = fork();
    if (pid == 0)
        child();

    int server, qd;
    begin(argc, argv);
    OK(demi_socket(&server, AF_INET, SOCK_STREAM, 0));
    OK(demi_bind(server, (struct sockaddr *)&address, sizeof address));
    OK(demi_listen(server, 4));
    qd = accepted(server);
    talk(qd, 200, 0, 0);
    talk(qd, 20, 0, 10000);
    IS(demi_count(DEMI_SLEPT) > 0, 1);
    IS(demi_count(DEMI_RINGS) > 0, strcmp(argv[1], "--catloop") == 0);
    expect(qd, "");
    OK(demi_close(qd));

    qd = accepted(server);
    both_ways(qd);
    expect(qd, "");
    OK(demi_close(qd));

    qd = accepted(server);
    talk(qd, 100, 0, 0);
    demi_qtoken_t qt;
    OK(demi_pop(&qt, qd));
    kill(pid, SIGKILL);
    demi_qresult_t qr = result_of(qt);
    if (qr.qr_opcode == DEMI_OPC_POP) {
        IS(qr.qr_value.sga.sga_segs[0].sgaseg_len, 0);
        OK(demi_sgafree(&qr.qr_value.sga));
    } else {
        IS(qr.qr_ret, ECONNRESET);
    }
    IS(waitpid(pid, &status, 0), pid);
    IS(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, 1);
    OK(demi_close(qd));

    if (messages) {
        OK(demi_close(server));
        return end();
    }

    /* a peer without any libOS */
    int plain = socket(AF_INET, SOCK_STREAM, 0);
    char buffer[16];
    OK(connect(plain, (struct sockaddr *)&address, sizeof address));
    qd = accepted(server);
    for (int i = 0; i < 200; i++) {
        IS(write(plain, "hello", 5), 5);
        expect(qd, "hello");
        push_all(qd, array("world"));
        IS(read(plain, buffer, sizeof buffer), 5);
    }
    OK(close(plain));
    expect(qd, "");
    OK(demi_close(qd));
    OK(demi_close(server));
    return end();
}
