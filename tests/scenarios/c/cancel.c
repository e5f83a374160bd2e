/* Cancelling a thread that waits in a call, and what closing or shutting down does to one. */
#include "scenario.h"

enum { RECV, READ, ACCEPT, POLL, PPOLL, SELECT, EPOLL, RECVMSG, UDP_RECV, KINDS };
static const char *titles[] = {"recv", "read", "accept", "poll", "ppoll", "select", "epoll_wait", "recvmsg", "UDP recv"};

struct target {
    int kind, stream, listener, udp, ep;
    _Atomic int cleaned;
};

static void cleaned(void *arg)
{
    ((struct target *)arg)->cleaned++;
}

static void wait_for_ever(void *arg)
{
    struct target *t = arg;
    char buf[8];
    struct pollfd one = {t->stream, POLLIN, 0};
    struct epoll_event e;
    fd_set r;
    struct iovec iov = {buf, 8};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    pthread_cleanup_push(cleaned, t);
    switch (t->kind) {
    case RECV: (void)!recv(t->stream, buf, 8, 0); break;
    case READ: (void)!read(t->stream, buf, 8); break;
    case ACCEPT: accept(t->listener, NULL, NULL); break;
    case POLL: poll(&one, 1, -1); break;
    case PPOLL: ppoll(&one, 1, NULL, NULL); break;
    case SELECT:
        FD_ZERO(&r);
        FD_SET(t->stream, &r);
        select(t->stream + 1, &r, NULL, NULL, NULL);
        break;
    case EPOLL: epoll_wait(t->ep, &e, 1, -1); break;
    case RECVMSG: recvmsg(t->stream, &m, 0); break;
    case UDP_RECV: recv(t->udp, buf, 8, 0); break;
    }
    pthread_cleanup_pop(0);
    say("BROKEN: %s came back", titles[t->kind]);
}

SCENARIO(cancelled_while_waiting)
{
    int p[2], u[2], l = listening(AF_INET, 4), ep = (int)MUST(epoll_create1(0));
    char buf[8];
    tcp_pair(p);
    udp_pair(u);
    struct epoll_event e = {EPOLLIN, {0}};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
    struct target t = {0, p[1], l, u[1], ep, 0};
    for (int kind = 0; kind < KINDS; kind++) {
        for (int round = 0; round < 5; round++) {
            struct worker w;
            void *value;
            t.kind = kind;
            t.cleaned = 0;
            begin(&w, wait_for_ever, &t);
            await_sleep(w.tid);
            MUST(-pthread_cancel(w.thread));
            MUST(-pthread_join(w.thread, &value));
            if (value != PTHREAD_CANCELED || t.cleaned != 1)
                say("BROKEN: %s, cleaned %d", titles[kind], t.cleaned);
        }
        /* and others go on with the same socket */
        say("after %s", titles[kind]);
        SAY(send(p[0], "x", 1, 0));
        SAY(recv(p[1], buf, 8, 0));
    }
    SAY(close(dialled(AF_INET, port_of(l))));
    SAY(send(u[0], "x", 1, 0));
    SAY(recv(u[1], buf, 8, 0));
}

/* --- the calls of the same kinds --- */
enum { READV, RECVFROM, RECVMMSG, ACCEPT4, PSELECT, PWAIT, PWAIT2, WRITE, WRITEV, SENDMSG, SENDTO, OTHERS };
static const char *others[] = {"readv",       "recvfrom", "recvmmsg", "accept4", "pselect", "epoll_pwait",
                               "epoll_pwait2", "write",   "writev",   "sendmsg", "sendto"};

static void wait_otherwise(void *arg)
{
    static char big[8 << 20];
    struct target *t = arg;
    struct epoll_event e;
    fd_set r;
    struct iovec iov = {big, t->kind < WRITE ? 8 : sizeof big};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
    pthread_cleanup_push(cleaned, t);
    switch (t->kind) {
    case READV: (void)!readv(t->stream, &iov, 1); break;
    case RECVFROM: recvfrom(t->stream, big, 8, 0, NULL, NULL); break;
    case RECVMMSG: recvmmsg(t->stream, &m, 1, 0, NULL); break;
    case ACCEPT4: accept4(t->listener, NULL, NULL, SOCK_CLOEXEC); break;
    case PSELECT:
        FD_ZERO(&r);
        FD_SET(t->stream, &r);
        pselect(t->stream + 1, &r, NULL, NULL, NULL, NULL);
        break;
    case PWAIT: epoll_pwait(t->ep, &e, 1, -1, NULL); break;
    case PWAIT2: epoll_pwait2(t->ep, &e, 1, NULL, NULL); break;
    case WRITE: (void)!write(t->stream, big, sizeof big); break;
    case WRITEV: (void)!writev(t->stream, &iov, 1); break;
    case SENDMSG: sendmsg(t->stream, &m.msg_hdr, 0); break;
    case SENDTO: sendto(t->stream, big, sizeof big, 0, NULL, 0); break;
    }
    pthread_cleanup_pop(0);
    say("BROKEN: %s came back", others[t->kind]);
}

SCENARIO(cancelled_in_other_calls)
{
    int l = listening(AF_INET, 4);
    static char buf[65536];
    for (int kind = 0; kind < OTHERS; kind++) {
        int p[2], ep = (int)MUST(epoll_create1(0));
        struct epoll_event e = {EPOLLIN, {0}};
        struct worker w;
        void *value;
        tcp_pair(p);
        MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
        struct target t = {kind, p[1], l, -1, ep, 0};
        begin(&w, wait_otherwise, &t);
        await_sleep(w.tid);
        MUST(-pthread_cancel(w.thread));
        MUST(-pthread_join(w.thread, &value));
        say("%s: cancelled %d, cleaned %d", others[kind], value == PTHREAD_CANCELED, t.cleaned);
        SAY(send(p[0], "x", 1, 0));
        SAY(recv(p[1], buf, 8, 0));
        MUST(shutdown(p[1], SHUT_WR));
        ssize_t n;
        while ((n = recv(p[0], buf, sizeof buf, 0)) > 0)
            ;
        SAY(n);
        MUST(close(p[0]));
        MUST(close(p[1]));
        MUST(close(ep));
    }
}

static void already_cancelled(void *arg)
{
    int fd = *(int *)arg;
    char c;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    say("disabled: %zd", recv(fd, &c, 1, 0));
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    (void)!recv(fd, &c, 1, 0); /* a cancellation point, even though a byte is there */
    say("BROKEN: not cancelled");
}

SCENARIO(cancelled_before_the_call)
{
    int p[2];
    char buf[8];
    void *value;
    tcp_pair(p);
    SAY(send(p[0], "ab", 2, 0));
    await_bytes(p[1], 2);
    struct worker w;
    begin(&w, already_cancelled, &p[1]);
    MUST(-pthread_join(w.thread, &value));
    SAY(value == PTHREAD_CANCELED);
    show("kept", buf, SAY(recv(p[1], buf, 8, MSG_DONTWAIT)));
}

static void cancel_in_send(void *arg)
{
    static char big[8 << 20];
    (void)!send(*(int *)arg, big, sizeof big, 0);
    say("BROKEN: send came back");
}

SCENARIO(cancelled_in_send)
{
    int p[2];
    static char buf[65536];
    void *value;
    tcp_pair(p);
    struct worker w;
    begin(&w, cancel_in_send, &p[0]);
    await_sleep(w.tid);
    MUST(-pthread_cancel(w.thread));
    MUST(-pthread_join(w.thread, &value));
    SAY(value == PTHREAD_CANCELED);
    SAY(shutdown(p[0], SHUT_WR));
    ssize_t n;
    while ((n = recv(p[1], buf, sizeof buf, 0)) > 0)
        ;
    SAY(n);
    SAY(send(p[1], "x", 1, 0));
    SAY(recv(p[0], buf, 8, 0));
}

/* --- what other threads can do to a waiting one --- */

struct waiting {
    int fd, kind, error;
    ssize_t result;
};

static void wait_once(void *arg)
{
    struct waiting *w = arg;
    char buf[16];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    switch (w->kind) {
    case ACCEPT: w->result = accept(w->fd, NULL, NULL); break;
    case READ: w->result = read(w->fd, buf, sizeof buf); break;
    case RECVMSG: w->result = recvmsg(w->fd, &m, 0); break;
    default: w->result = recv(w->fd, buf, sizeof buf, 0);
    }
    w->error = w->result < 0 ? errno : 0;
}

static void tell(const char *what, struct worker *w, struct waiting *state)
{
    join(w);
    say("%s: %s%s", what, state->result < 0 ? name_of(state->error) : state->result ? "bytes" : "end", "");
}

SCENARIO(shutdown_wakes)
{
    int l = listening(AF_INET, 4), port = port_of(l), p[2], u[2];
    tcp_pair(p);
    udp_pair(u);
    struct worker w;
    struct waiting s = {p[1], RECV, 0, 0};
    begin(&w, wait_once, &s);
    await_sleep(w.tid);
    SAY(shutdown(p[1], SHUT_RD));
    tell("recv, own SHUT_RD", &w, &s);
    s.fd = p[0];
    begin(&w, wait_once, &s);
    await_sleep(w.tid);
    SAY(shutdown(p[1], SHUT_WR));
    tell("recv, SHUT_WR of the peer", &w, &s);
    s = (struct waiting){l, ACCEPT, 0, 0};
    begin(&w, wait_once, &s);
    await_sleep(w.tid);
    SAY(shutdown(l, SHUT_RD));
    tell("accept, SHUT_RD", &w, &s);
    SAY(accept(l, NULL, NULL));
    struct name a = loopback(AF_INET, port);
    int c = (int)SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(connect(c, &a.any, a.len));
    SAY(listen(l, 4)); /* on another port: this one was not asked for */
    a = loopback(AF_INET, port_of(l));
    SAY(connect(c, &a.any, a.len));
    SAY(accept(l, NULL, NULL) > 0);
    s = (struct waiting){u[1], RECV, 0, 0};
    begin(&w, wait_once, &s);
    await_sleep(w.tid);
    SAY(shutdown(u[1], SHUT_RDWR));
    tell("UDP recv, SHUT_RDWR", &w, &s);
}

/* The kernel keeps the call alive on the closed number: data still arrives for it, and the number is free. */
SCENARIO(close_under_recv)
{
    int p[2];
    char buf[8];
    tcp_pair(p);
    struct worker w;
    struct waiting s = {p[1], RECV, 0, 0};
    begin(&w, wait_once, &s);
    await_sleep(w.tid);
    SAY(close(p[1]));
    SAY(recv(p[1], buf, 8, 0));
    SAY(dup2(open("/dev/zero", O_RDONLY), p[1]) == p[1]);
    SAY(read(p[1], buf, 8));
    SAY(send(p[0], "late", 4, 0));
    tell("recv", &w, &s);
    SAY(recv(p[0], buf, 8, 0)); /* its end was the last reference */
    SAY(send(p[0], "x", 1, MSG_NOSIGNAL));
}

SCENARIO(close_under_recv_loop)
{
    int wrong = 0;
    for (int i = 0; i < 100; i++) {
        int p[2];
        tcp_pair(p);
        struct worker w;
        struct waiting s = {p[1], RECV, 0, 0};
        begin(&w, wait_once, &s);
        if (i % 2)
            await_sleep(w.tid);
        close(p[1]);
        close(p[0]);
        join(&w);
        wrong += !(s.result == 0 || (s.result < 0 && (s.error == EBADF || s.error == ECONNRESET)));
    }
    SAY(wrong);
    int fresh[2];
    tcp_pair(fresh);
    say("numbers %d %d", fresh[0], fresh[1]);
}

SCENARIO(dup2_under_recv)
{
    int p[2], q[2];
    char buf[8];
    tcp_pair(p);
    tcp_pair(q);
    struct worker w;
    struct waiting s = {p[1], RECV, 0, 0};
    begin(&w, wait_once, &s);
    await_sleep(w.tid);
    SAY(dup2(q[1], p[1]) == p[1]);
    SAY(send(q[0], "new", 3, 0));
    show("the new one", buf, SAY(recv(p[1], buf, 8, 0)));
    SAY(send(p[0], "old", 3, 0));
    tell("recv on the old one", &w, &s);
    SAY(s.result);
}

/* By an instruction of the program's own, so that nobody is left who could keep the connection by its number. */
SCENARIO(number_given_away_under_calls)
{
    static const int kinds[] = {RECV, READ, RECVMSG};
    for (int i = 0; i < 3; i++) {
        int p[2], other = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
        tcp_pair(p);
        struct worker w;
        struct waiting s = {p[1], kinds[i], 0, 0};
        begin(&w, wait_once, &s);
        await_sleep(w.tid);
        SAY(bare(SYS_close, p[1], 0));
        CHECK(fcntl(other, F_DUPFD, p[1]) == p[1]);
        SAY(close(p[0]));
        join(&w);
        CHECK(s.result == 0 || (s.result < 0 && s.error == EBADF));
        SAY(close(p[1]));
    }
}

/* The number stands for something else, and what comes then comes another way than before. */
SCENARIO(close_under_calls_whose_peer_goes_back)
{
    static const int kinds[] = {RECV, READ, RECVMSG};
    for (int i = 0; i < 3; i++) {
        int p[2], zero = (int)MUST(open("/dev/zero", O_RDONLY));
        char buf[8];
        tcp_pair(p);
        struct worker w;
        struct waiting s = {p[1], kinds[i], 0, 0};
        begin(&w, wait_once, &s);
        await_sleep(w.tid);
        SAY(dup2(zero, p[1]) == p[1]);
        SAY(fcntl(p[0], F_SETFL, O_ASYNC));
        nap_ms(20);
        SAY(send(p[0], "late", 4, 0));
        tell(titles[s.kind], &w, &s);
        SAY(s.result);
        SAY(recv(p[0], buf, 8, 0));
        close(p[0]);
        close(p[1]);
        close(zero);
    }
}
