/* Other names under which programs reach the same calls: libc's names with underscores, those of large files, asynchronous
 * I/O, signals of the old kinds, the resolver, which calls the kernel from inside libc. */
#include "scenario.h"

#include <aio.h>
#include <arpa/nameser.h>
#include <resolv.h>

ssize_t inner_read(int, void *, size_t) __asm__("__read");
ssize_t inner_write(int, const void *, size_t) __asm__("__write");
ssize_t inner_send(int, const void *, size_t, int) __asm__("__send");
int inner_close(int) __asm__("__close");
int inner_connect(int, const struct sockaddr *, socklen_t) __asm__("__connect");
int inner_poll(struct pollfd *, nfds_t, int) __asm__("__poll");
int inner_select(int, fd_set *, fd_set *, fd_set *, struct timeval *) __asm__("__select");
int inner_dup2(int, int) __asm__("__dup2");
int inner_fcntl(int, int, ...) __asm__("__fcntl");
pid_t inner_fork(void) __asm__("__fork");
int inner_sigaction(int, const struct sigaction *, struct sigaction *) __asm__("__sigaction");
FILE *inner_fdopen(int, const char *) __asm__("_IO_fdopen");
int inner_fclose(FILE *) __asm__("_IO_fclose");
sighandler_t old_signal(int, sighandler_t) __asm__("sysv_signal");

/* A thread that waits for a byte: whoever owes the other end something can be reached there. */
static void wait_for_byte(void *fd)
{
    char c;
    MUST(recv((int)(intptr_t)fd, &c, 1, 0));
}

SCENARIO(names_with_underscores)
{
    int l = listening(AF_INET, 4), p[2], c = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    char buf[16];
    struct name a = loopback(AF_INET, port_of(l));
    SAY(inner_connect(c, &a.any, a.len));
    p[0] = c;
    p[1] = (int)MUST(accept(l, NULL, NULL));
    if (getenv("SCENARIO_WARM"))
        warm_up(p);
    SAY(send(p[0], "abc", 3, 0));
    struct pollfd one = {p[1], POLLIN, 0};
    SAY(inner_poll(&one, 1, 1000));
    fd_set r;
    FD_ZERO(&r);
    FD_SET(p[1], &r);
    SAY(inner_select(p[1] + 1, &r, NULL, NULL, &(struct timeval){1, 0}));
    show("read", buf, SAY(inner_read(p[1], buf, 16)));
    SAY(inner_write(p[1], "written", 7));
    show("got", buf, SAY(recv(p[0], buf, 16, 0)));
    SAY(inner_send(p[1], "sent", 4, 0));
    show("got", buf, SAY(recv(p[0], buf, 16, 0)));
    int copy = (int)SAY(inner_dup2(p[1], 40));
    SAY(inner_fcntl(p[1], F_SETFL, O_NONBLOCK));
    SAY(inner_read(copy, buf, 16));
    int third = (int)SAY(inner_fcntl(p[1], F_DUPFD, 50));
    SAY(inner_close(p[1]));
    SAY(inner_close(copy));
    SAY(send(third, "third", 5, 0));
    show("got", buf, SAY(recv(p[0], buf, 16, 0)));
    SAY(inner_close(third));
    SAY(recv(p[0], buf, 16, 0));
    SAY(inner_close(p[0]));
    SAY(inner_close(p[0]));
}

SCENARIO(names_of_large_files)
{
    int p[2], file = (int)MUST(memfd_create("data", 0));
    char buf[16];
    struct iovec out = {"abcd", 4}, in = {buf, 4};
    off64_t at = 2;
    tcp_pair(p);
    MUST(pwrite(file, "0123456789", 10, 0));
    SAY(sendfile64(p[0], file, &at, 4));
    SAY(at);
    show("from the file", buf, SAY(recv(p[1], buf, 16, 0)));
    SAY(fcntl64(p[1], F_SETFL, O_NONBLOCK));
    SAY(recv(p[1], buf, 16, 0));
    SAY(fcntl64(p[1], F_SETFL, 0));
    SAY(pread64(p[1], buf, 1, 0));
    SAY(pwrite64(p[0], buf, 1, 0));
    SAY(preadv64(p[1], &in, 1, 0));
    SAY(pwritev64(p[0], &out, 1, 0));
    SAY(pwritev64v2(p[0], &out, 1, 0, 0));
    SAY(send(p[0], "ring", 4, 0));
    await_bytes(p[1], 4);
    struct worker waits;
    begin(&waits, wait_for_byte, (void *)(intptr_t)p[0]);
    SAY(preadv64v2(p[1], &in, 1, -1, 0));
    show("read", buf, 4);
    SAY(pwritev64v2(p[1], &out, 1, -1, 0));
    join(&waits);
    show("written", buf, SAY(recv(p[0], buf, 16, 0)));
    SAY(lseek64(p[0], 0, SEEK_SET));
    struct stat64 s;
    SAY(fstat64(p[0], &s));
    SAY(S_ISSOCK(s.st_mode));
}

/* --- asynchronous I/O --- */
static long outcome(struct aiocb *block)
{
    const struct aiocb *list[] = {block};
    while (aio_error(block) == EINPROGRESS)
        aio_suspend(list, 1, &(struct timespec){5, 0});
    return aio_error(block) ? -aio_error(block) : aio_return(block);
}

enum { AIO, AIO64, LISTED, WAYS };
static const char *ways[] = {"aio", "aio64", "lio_listio"};

static void started(int way, struct aiocb *block, int reads)
{
    if (way == AIO)
        MUST(reads ? aio_read(block) : aio_write(block));
    else if (way == AIO64)
        MUST(reads ? aio_read64((struct aiocb64 *)block) : aio_write64((struct aiocb64 *)block));
    else {
        block->aio_lio_opcode = reads ? LIO_READ : LIO_WRITE;
        MUST(lio_listio(LIO_NOWAIT, &block, 1, NULL));
    }
}

SCENARIO(asynchronous)
{
    for (int way = 0; way < WAYS; way++) {
        int p[2];
        char buf[16] = "";
        tcp_pair(p);
        say("by %s", ways[way]);
        struct aiocb reads = {.aio_fildes = p[1], .aio_buf = buf, .aio_nbytes = 16};
        SAY(send(p[0], "there", 5, 0));
        await_bytes(p[1], 5);
        struct worker waits;
        begin(&waits, wait_for_byte, (void *)(intptr_t)p[0]);
        started(way, &reads, 1);
        show("read", buf, SAY(outcome(&reads)));
        struct aiocb writes = {.aio_fildes = p[1], .aio_buf = "later", .aio_nbytes = 5};
        started(way, &writes, 0);
        SAY(outcome(&writes));
        join(&waits);
        show("written", buf, SAY(recv(p[0], buf, 4, MSG_WAITALL)));
        started(way, &reads, 1); /* waits, in a thread of libc's */
        SAY(send(p[0], "woken", 5, 0));
        show("read", buf, SAY(outcome(&reads)));
    }
}

SCENARIO(stdio_by_its_inner_names)
{
    int p[2];
    char line[32];
    tcp_pair(p);
    SAY(send(p[0], "a line\n", 7, 0));
    await_bytes(p[1], 7);
    struct worker waits;
    begin(&waits, wait_for_byte, (void *)(intptr_t)p[0]);
    FILE *f = inner_fdopen(p[1], "r+");
    show("line", line, fgets(line, sizeof line, f) ? (long)strlen(line) : -1);
    SAY(fputs("answer\n", f) >= 0);
    SAY(fflush(f));
    join(&waits);
    show("answer", line, SAY(recv(p[0], line, 6, MSG_WAITALL)));
    SAY(inner_fclose(f));
    SAY(recv(p[0], line, 1, 0));
    SAY(send(p[1], "x", 1, 0));
}

SCENARIO(fork_by_its_inner_name)
{
    int p[2];
    char c;
    tcp_pair(p);
    int pid = (int)inner_fork();
    if (pid == 0) {
        int q[2];
        tcp_pair(q);
        bool fine = send(q[0], "y", 1, 0) == 1 && recv(q[1], &c, 1, 0) == 1;
        fine &= recv(p[1], &c, 1, 0) == 1 && send(p[1], &c, 1, 0) == 1;
        _exit(fine ? 0 : 1);
    }
    SAY(send(p[0], "x", 1, 0));
    SAY(recv(p[0], &c, 1, 0));
    reap(pid);
    SAY(send(p[1], "z", 1, 0));
    SAY(recv(p[0], &c, 1, 0));
}

/* --- handlers that were set in other ways --- */
static _Atomic int caught;
static sigjmp_buf jump;

static void on_signal(int signal)
{
    (void)signal;
    caught++;
}

static void on_signal_jump(int signal)
{
    (void)signal;
    caught++;
    siglongjmp(jump, 1);
}

struct bell {
    pthread_t target;
    int tid;
};

static void ring(void *arg)
{
    struct bell *b = arg;
    await_sleep(b->tid);
    pthread_kill(b->target, SIGUSR1);
}

enum { SYSV, SIGSET, INNER, INTERRUPTS, KINDS };
static const char *kinds[] = {"sysv_signal", "sigset", "__sigaction", "signal and siginterrupt"};

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void set_handler(int kind, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_NODEFER};
    if (kind == SYSV)
        old_signal(SIGUSR1, handler);
    else if (kind == SIGSET)
        sigset(SIGUSR1, handler);
    else if (kind == INNER)
        inner_sigaction(SIGUSR1, &action, NULL);
    else {
        signal(SIGUSR1, handler);
        siginterrupt(SIGUSR1, 1);
    }
}

SCENARIO(handlers_of_other_kinds)
{
    int p[2], u[2];
    char c;
    tcp_pair(p);
    udp_pair(u);
    for (int kind = 0; kind < KINDS; kind++) {
        say("by %s", kinds[kind]);
        struct bell b = {pthread_self(), gettid()};
        struct worker w;
        struct timeval second = {1, 0};
        caught = 0;
        set_handler(kind, on_signal);
        MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second)); /* where the call is begun again */
        begin(&w, ring, &b);
        SAY(recv(p[1], &c, 1, 0));
        join(&w);
        SAY(caught);
        MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 0}, sizeof second));
        set_handler(kind, on_signal_jump);
        begin(&w, ring, &b);
        if (sigsetjmp(jump, 1) == 0) {
            (void)!recv(kind % 2 ? u[1] : p[1], &c, 1, 0);
            say("BROKEN: recv came back");
        }
        join(&w);
        SAY(caught);
        SAY(send(p[0], "x", 1, 0));
        SAY(recv(p[1], &c, 1, 0));
        SAY(send(u[0], "x", 1, 0));
        SAY(recv(u[1], &c, 1, 0));
    }
}

/* --- the resolver asks a server of ours --- */
static size_t answer_to(unsigned char *message, size_t n)
{
    static const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77};
    message[2] |= 0x80; /* a response */
    message[3] = 0x80;  /* recursion available, no error */
    message[7] = 1;     /* one answer */
    message[9] = message[11] = 0;
    n = 12 + strlen((char *)message + 12) + 1 + 4; /* the question alone, without what is additional */
    memcpy(message + n, record, sizeof record);
    return n + sizeof record;
}

static void serve_datagrams(void *arg)
{
    unsigned char buf[512];
    struct name from = {.len = sizeof from.room};
    ssize_t n = recvfrom((int)(intptr_t)arg, buf, sizeof buf, 0, &from.any, &from.len);
    MUST(sendto((int)(intptr_t)arg, buf, answer_to(buf, (size_t)n), 0, &from.any, from.len));
}

static void serve_stream(void *arg)
{
    unsigned char buf[514];
    int fd = (int)MUST(accept((int)(intptr_t)arg, NULL, NULL));
    CHECK(recv_all(fd, buf, 2));
    size_t n = (size_t)(buf[0] << 8 | buf[1]);
    CHECK(n < 512 && recv_all(fd, buf + 2, n));
    n = answer_to(buf + 2, n);
    buf[0] = (unsigned char)(n >> 8);
    buf[1] = (unsigned char)n;
    CHECK(send_all(fd, buf, n + 2));
    close(fd);
}

SCENARIO(resolver_asks_a_server_of_ours)
{
    int p[2];
    tcp_pair(p);
    for (int stream = 0; stream < 2; stream++) {
        struct __res_state state = {0};
        struct worker server;
        unsigned char answer[512];
        MUST(res_ninit(&state));
        int fd = stream ? listening(AF_INET, 4) : bound(AF_INET, SOCK_DGRAM);
        state.nscount = 1;
        state.nsaddr_list[0] = loopback(AF_INET, port_of(fd)).four;
        state.retrans = 5;
        state.options |= stream ? RES_USEVC : 0;
        begin(&server, stream ? serve_stream : serve_datagrams, (void *)(intptr_t)fd);
        int n = res_nquery(&state, "host.example", C_IN, T_A, answer, sizeof answer);
        join(&server);
        say("%s: %d bytes, to 192.0.2.%d", stream ? "stream" : "datagram", n, n > 4 ? answer[n - 1] : -1);
        res_nclose(&state);
        SAY(close(fd));
    }
    char c;
    SAY(send(p[0], "x", 1, 0));
    SAY(recv(p[1], &c, 1, 0));
}
