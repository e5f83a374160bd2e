/* Every way of moving bytes on a stream: vectors, messages, flags, bad addresses, files, stdio. */
#include "scenario.h"

SCENARIO(vectors)
{
    int p[2];
    tcp_pair(p);
    char a[4], b[4], c[4];
    struct iovec out[] = {{"one", 3}, {"", 0}, {NULL, 0}, {"three", 5}}, in[] = {{a, 4}, {b, 0}, {b, 3}, {c, 4}};
    SAY(writev(p[0], out, 4));
    await_bytes(p[1], 8);
    SAY(readv(p[1], in, 4));
    show("a", a, 4);
    show("b", b, 3);
    show("c", c, 1);
    SAY(writev(p[0], out, 0));
    SAY(readv(p[1], in, 0));
    SAY(writev(p[0], out, minus_one));
    SAY(readv(p[1], in, minus_one));
    static struct iovec many[IOV_MAX + 1];
    for (int i = 0; i <= IOV_MAX; i++)
        many[i] = (struct iovec){"z", 1};
    SAY(writev(p[0], many, IOV_MAX + 1));
    SAY(writev(p[0], many, IOV_MAX));
    static char room[IOV_MAX];
    SAY(recv(p[1], room, IOV_MAX, MSG_WAITALL));
    struct msghdr m = {.msg_iov = many, .msg_iovlen = IOV_MAX + 1};
    SAY(sendmsg(p[0], &m, 0));
    SAY(recvmsg(p[1], &m, MSG_DONTWAIT));
    struct iovec huge[] = {{a, SSIZE_MAX}, {b, 1}};
    SAY(readv(p[1], huge, 2));
    SAY(writev(p[0], null, 1));
    SAY(writev(p[0], nowhere, 1));
    SAY(readv(-1, in, 4));
    SAY(writev(1 << 30, out, 4));
    SAY(preadv(p[1], in, 4, 0));
    SAY(pwritev(p[0], out, 4, 0));
    SAY(preadv2(p[1], in, 1, -1, RWF_NOWAIT));
    SAY(pwritev2(p[0], out, 4, -1, 0));
    await_bytes(p[1], 8);
    SAY(preadv2(p[1], in, 4, -1, 0));
    SAY(pread(p[1], a, 1, 0));
    SAY(pwrite(p[0], a, 1, 0));
    SAY(lseek(p[0], 0, SEEK_SET));
    SAY(ftruncate(p[0], 0));
    SAY(fsync(p[0]));
}

SCENARIO(bad_addresses)
{
    int p[2];
    tcp_pair(p);
    void *bad = nowhere;
    char buf[16];
    SAY(send(p[0], bad, 4, 0));
    SAY(write(p[0], bad, 4));
    SAY(send(p[0], "kept", 4, 0));
    await_bytes(p[1], 4);
    SAY(recv(p[1], bad, 4, 0));
    SAY(read(p[1], bad, 4));
    struct iovec iov[] = {{buf, 2}, {bad, 2}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    SAY(recvmsg(p[1], bad, 0));
    SAY(recvmsg(p[1], null, 0));
    SAY(sendmsg(p[0], null, 0));
    SAY(sendmsg(p[0], bad, 0));
    m.msg_iov = bad;
    SAY(recvmsg(p[1], &m, 0));
    SAY(sendmsg(p[0], &m, 0));
    SAY(recvfrom(p[1], buf, 1, 0, bad, NULL));
    SAY(recv(p[1], buf, 16, MSG_DONTWAIT));
    SAY(accept(p[0], bad, bad));
    SAY(getsockopt(p[0], SOL_SOCKET, SO_TYPE, bad, nowhere));
    SAY(setsockopt(p[0], SOL_SOCKET, SO_KEEPALIVE, bad, 4));
    SAY(poll(bad, 1, 0));
    SAY(poll(null, 1, 10));
    SAY(ppoll(bad, 1, NULL, NULL));
    SAY(select(5, bad, NULL, NULL, NULL));
    int ep = (int)SAY(epoll_create1(0));
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], bad));
    struct epoll_event e = {EPOLLOUT, {.fd = 1}};
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    SAY(epoll_wait(ep, bad, 1, 0));
    SAY(epoll_wait(ep, bad, 1, 10));
    /* a page that ends in the middle of a buffer: part of it may be sent */
    long page = sysconf(_SC_PAGESIZE);
    char *edge = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(edge + page, (size_t)page);
    SAY(send(p[0], edge + page - 4, 8, 0));
    SAY(send(p[0], "intact", 6, 0));
    SAY(recv(p[1], buf, 6, MSG_WAITALL));
    SAY(readable(p[1], 0));
}

SCENARIO(peek)
{
    int p[2];
    char buf[16];
    tcp_pair(p);
    SAY(recv(p[1], buf, 4, MSG_PEEK | MSG_DONTWAIT));
    SAY(send(p[0], "abcdef", 6, 0));
    await_bytes(p[1], 6);
    for (int i = 1; i < 4; i++)
        show("peeked", buf, SAY(recv(p[1], buf, i * 2, MSG_PEEK)));
    show("read", buf, SAY(recv(p[1], buf, 2, 0)));
    show("peeked", buf, SAY(recv(p[1], buf, 16, MSG_PEEK)));
    show("read", buf, SAY(recv(p[1], buf, 16, 0)));
    SAY(recv(p[1], buf, 4, MSG_PEEK | MSG_DONTWAIT));
    SAY(shutdown(p[0], SHUT_WR));
    SAY(recv(p[1], buf, 4, MSG_PEEK));
    SAY(recv(p[1], buf, 4, 0));
}

static void send_slowly(void *arg)
{
    int fd = *(int *)arg;
    for (int i = 0; i < 5; i++) {
        nap_ms(5);
        send(fd, "xy", 2, 0);
    }
}

SCENARIO(peek_into_segments)
{
    int p[2];
    tcp_pair(p);
    char a[4] = "", b[4] = "", c[8] = "";
    struct iovec in[] = {{a, 3}, {b, 0}, {b, 2}, {c, 8}};
    struct msghdr m = {.msg_iov = in, .msg_iovlen = 4};
    SAY(send(p[0], "abcdefgh", 8, 0));
    await_bytes(p[1], 8);
    for (int i = 0; i < 2; i++) {
        SAY(recvmsg(p[1], &m, MSG_PEEK));
        show("a", a, 3);
        show("b", b, 2);
        show("c", c, 3);
        SAY(recvmsg(p[1], &m, MSG_PEEK | MSG_TRUNC));
        memset(a, 0, sizeof a);
        memset(b, 0, sizeof b);
        memset(c, 0, sizeof c);
    }
    SAY(recv(p[1], c, 4, 0));
    SAY(recvmsg(p[1], &m, MSG_PEEK | MSG_DONTWAIT));
    show("a", a, 3);
    show("b", b, 1);
    SAY(readv(p[1], in, 4));
    show("a", a, 3);
    SAY(recvmsg(p[1], &m, MSG_PEEK | MSG_DONTWAIT));
    SAY(shutdown(p[0], SHUT_WR));
    SAY(recvmsg(p[1], &m, MSG_PEEK));
}

SCENARIO(wait_all)
{
    int p[2];
    char buf[16];
    tcp_pair(p);
    struct worker w;
    begin(&w, send_slowly, &p[0]);
    show("all", buf, SAY(recv(p[1], buf, 10, MSG_WAITALL)));
    join(&w);
    SAY(send(p[0], "abc", 3, 0));
    await_bytes(p[1], 3);
    show("now", buf, SAY(recv(p[1], buf, 10, MSG_WAITALL | MSG_DONTWAIT)));
    SAY(send(p[0], "last", 4, 0));
    SAY(shutdown(p[0], SHUT_WR));
    show("to the end", buf, SAY(recv(p[1], buf, 10, MSG_WAITALL)));
    SAY(recv(p[1], buf, 10, MSG_WAITALL));
}

SCENARIO(truncate_and_more)
{
    int p[2], one = 1, zero = 0;
    char buf[16];
    tcp_pair(p);
    SAY(send(p[0], "discarded", 9, 0));
    await_bytes(p[1], 9);
    SAY(recv(p[1], buf, 4, MSG_TRUNC)); /* tcp(7): thrown away, not copied */
    show("rest", buf, SAY(recv(p[1], buf, 16, 0)));
    SAY(send(p[0], "held ", 5, MSG_MORE));
    SAY(send(p[0], "sent", 4, 0));
    show("together", buf, SAY(recv(p[1], buf, 9, MSG_WAITALL)));
    SAY(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &one, sizeof one));
    SAY(send(p[0], "corked", 6, 0));
    SAY(readable(p[1], 20));
    SAY(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &zero, sizeof zero));
    show("uncorked", buf, SAY(recv(p[1], buf, 6, MSG_WAITALL)));
    SAY(recv(p[1], buf, 4, MSG_ERRQUEUE));
    SAY(recv(p[1], buf, 4, MSG_DONTWAIT | 0x20000000));
}

SCENARIO(urgent)
{
    int p[2], mark = -1, one = 1;
    char buf[16];
    tcp_pair(p);
    SAY(send(p[0], "ab", 2, 0));
    SAY(send(p[0], "!", 1, MSG_OOB));
    SAY(send(p[0], "cd", 2, 0));
    struct pollfd w = {p[1], POLLPRI, 0};
    SAY(poll(&w, 1, 1000));
    SAY(w.revents);
    await_bytes(p[1], 2);
    SAY(recv(p[1], buf, 1, MSG_OOB));
    SAY(buf[0] == '!');
    show("up to the mark", buf, SAY(recv(p[1], buf, 16, 0)));
    SAY(ioctl(p[1], SIOCATMARK, &mark));
    SAY(mark);
    show("after", buf, SAY(recv(p[1], buf, 16, 0)));
    SAY(recv(p[1], buf, 1, MSG_OOB));
    SAY(setsockopt(p[1], SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
    SAY(send(p[0], "?", 1, MSG_OOB));
    show("in line", buf, SAY(recv(p[1], buf, 16, 0)));
}

SCENARIO(message_headers)
{
    int p[2];
    char buf[16], control[64];
    tcp_pair(p);
    struct name from = {.len = sizeof from.room};
    struct iovec out[] = {{"head", 4}, {"body", 4}}, in[] = {{buf, 3}, {buf + 3, 13}};
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 2};
    SAY(sendmsg(p[0], &m, 0));
    await_bytes(p[1], 8);
    struct msghdr r = {.msg_name = &from.any, .msg_namelen = sizeof from.room, .msg_iov = in, .msg_iovlen = 2,
                       .msg_control = control, .msg_controllen = sizeof control, .msg_flags = -1};
    SAY(recvmsg(p[1], &r, 0));
    show("got", buf, 8);
    SAY(r.msg_namelen);
    SAY(r.msg_controllen);
    SAY(r.msg_flags);
    struct name to = loopback(AF_INET, 9);
    m.msg_name = &to.any;
    m.msg_namelen = to.len;
    SAY(sendmsg(p[0], &m, 0)); /* the address is ignored on a connected stream */
    SAY(sendto(p[0], "x", 1, 0, &to.any, to.len));
    SAY(recvfrom(p[1], buf, 9, MSG_WAITALL, &from.any, &from.len));
    SAY(from.len);
    m.msg_iovlen = 0;
    SAY(sendmsg(p[0], &m, 0));
    r.msg_iovlen = 0;
    SAY(recvmsg(p[1], &r, MSG_DONTWAIT));
    SAY(sendmsg(-1, &m, 0));
    SAY(recvmsg(0, &r, 0));
}

SCENARIO(many_messages)
{
    int p[2];
    char a[4], b[4], c[4];
    tcp_pair(p);
    struct iovec out[] = {{"aaaa", 4}, {"bbbb", 4}, {"cccc", 4}}, in[] = {{a, 4}, {b, 4}, {c, 4}};
    struct mmsghdr m[3] = {0}, r[3] = {0};
    for (int i = 0; i < 3; i++) {
        m[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1};
        r[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
    }
    SAY(sendmmsg(p[0], m, 3, 0));
    SAY(m[0].msg_len + m[1].msg_len * 100 + m[2].msg_len * 10000);
    await_bytes(p[1], 12);
    SAY(recvmmsg(p[1], r, 3, 0, NULL));
    show("second", b, r[1].msg_len);
    SAY(recvmmsg(p[1], r, 3, MSG_DONTWAIT, NULL));
    SAY(sendmmsg(p[0], m, 0, 0));
    SAY(sendmmsg(-1, m, 3, 0));
    struct timespec bad = {0, 2000000000}, brief = {0, 20000000};
    SAY(recvmmsg(p[1], r, 3, 0, &bad));
    SAY(sendmmsg(p[0], m, 2, 0));
    await_bytes(p[1], 8);
    SAY(recvmmsg(p[1], r, 3, MSG_WAITFORONE, &brief));
}

SCENARIO(files_to_sockets)
{
    int p[2];
    tcp_pair(p);
    int f = (int)SAY(memfd_create("data", MFD_CLOEXEC));
    static char data[200000], in[200000];
    fill(data, sizeof data, 0, 9);
    CHECK(write(f, data, sizeof data) == sizeof data);
    off_t at = 1000;
    SAY(sendfile(p[0], f, &at, 500));
    SAY(at);
    SAY(lseek(f, 0, SEEK_CUR));
    SAY(lseek(f, 100, SEEK_SET));
    SAY(sendfile(p[0], f, NULL, 300));
    SAY(lseek(f, 0, SEEK_CUR));
    CHECK(recv_all(p[1], in, 800) && matches(in, 500, 1000, 9) && matches(in + 500, 300, 100, 9));
    at = sizeof data - 10;
    SAY(sendfile(p[0], f, &at, 1000));
    SAY(sendfile(p[0], f, &at, 1000));
    SAY(recv(p[1], in, 100, 0));
    at = -5;
    SAY(sendfile(p[0], f, &at, 10));
    SAY(sendfile(p[0], -1, NULL, 10));
    SAY(sendfile(p[0], p[1], NULL, 10));
    SAY(sendfile(-1, f, NULL, 10));
    SAY(sendfile(p[0], f, nowhere, 10));
    SAY(sendfile(p[0], f, NULL, 0));
    nonblocking(p[0], true);
    size_t sent = 0, got = 0;
    for (int rounds = 0; rounds < 200; rounds++) {
        at = 0;
        ssize_t n = sendfile(p[0], f, &at, sizeof data);
        if (n < 0)
            break;
        CHECK(at == n || n < 0);
        sent += (size_t)n;
        if (n < (ssize_t)sizeof data)
            break;
        bool right = true;
        for (size_t have = 0; have < sizeof data; have += (size_t)n, got += (size_t)n) {
            n = recv(p[1], in, sizeof in - have, 0);
            right &= n > 0 && matches(in, (size_t)n, have, 9);
        }
        CHECK(right);
        if (rounds == 3)
            break;
    }
    CHECK(sent >= got);
    int pipes[2];
    MUST(pipe(pipes));
    SAY(write(pipes[1], "spliced", 7));
    nonblocking(p[0], false);
    while (got < sent)
        got += (size_t)MUST(recv(p[1], in, sizeof in, 0));
    SAY(splice(pipes[0], NULL, p[0], NULL, 7, 0));
    await_bytes(p[1], 7);
    SAY(splice(p[1], NULL, pipes[1], NULL, 100, SPLICE_F_NONBLOCK));
    SAY(read(pipes[0], in, 100));
    show("through", in, 7);
    SAY(splice(p[1], NULL, p[0], NULL, 1, 0));
}

/* A non-blocking socket takes another way through sendfile: the same answers, whatever it is asked. */
SCENARIO(files_to_a_nonblocking_socket)
{
    int p[2], pipes[2], file = (int)SAY(memfd_create("data", 0)), dir = open("/", O_RDONLY), other = memfd_create("other", 0);
    int blind = open("/dev/null", O_WRONLY);
    static char data[40000], in[40000];
    tcp_pair(p);
    MUST(pipe(pipes));
    nonblocking(p[0], true);
    fill(data, sizeof data, 0, 2);
    CHECK(write(file, data, sizeof data) == sizeof data);
    MUST(pwrite(other, data, 100, 0));
    off_t at = 0;
    for (int with_offset = 0; with_offset < 2; with_offset++) {
        off_t *offset = with_offset ? &at : NULL;
        SAY(sendfile(p[0], -1, offset, 10));
        SAY(sendfile(p[0], p[1], offset, 10));
        SAY(sendfile(p[0], dir, offset, 10));
        SAY(sendfile(p[0], blind, offset, 10));
        SAY(sendfile(p[0], pipes[0], offset, 0));
        SAY(sendfile(p[0], file, offset, 0));
        SAY(sendfile(p[0], other, offset, 3));
        SAY(recv(p[1], in, 3, MSG_WAITALL));
        SAY(at);
    }
    SAY(sendfile(p[0], file, nowhere, 10));
    at = -1;
    SAY(sendfile(p[0], file, &at, 10));
    at = SSIZE_MAX - 5;
    SAY(sendfile(p[0], file, &at, 10));
    at = 39990;
    SAY(sendfile(p[0], file, &at, 1ul << 40));
    SAY(at);
    SAY(recv(p[1], in, 10, MSG_WAITALL));
    CHECK(matches(in, 10, 39990, 2));
    MUST(lseek(file, 5, SEEK_SET));
    SAY(sendfile(p[0], file, NULL, 20000));
    SAY(lseek(file, 0, SEEK_CUR));
    CHECK(recv_all(p[1], in, 20000) && matches(in, 20000, 5, 2));
    size_t sent = 0;
    ssize_t n;
    while ((at = 0, n = sendfile(p[0], file, &at, sizeof data)) > 0) {
        if (at != n)
            say("BROKEN: offset %ld after %zd", (long)at, n);
        sent += (size_t)n;
    }
    SAY(errno == EAGAIN);
    SAY(at);
    MUST(shutdown(p[0], SHUT_WR));
    size_t got = 0;
    while ((n = recv(p[1], in, sizeof in, 0)) > 0)
        got += (size_t)n;
    CHECK(got == sent && sent > 40000);
    signal(SIGPIPE, SIG_IGN);
    at = 3;
    SAY(sendfile(p[0], file, &at, 10));
    SAY(at);
}

SCENARIO(stdio)
{
    int p[2];
    tcp_pair(p);
    FILE *out = fdopen(p[0], "w"), *in = fdopen(p[1], "r");
    SAY(fprintf(out, "line %d\n", 1));
    SAY(fputs("line two\n", out) >= 0);
    SAY(fflush(out));
    char line[64];
    for (int i = 0; i < 2 && fgets(line, sizeof line, in); i++)
        show("line", line, (long)strlen(line));
    SAY(fileno(in));
    SAY(fclose(out));
    SAY(fgetc(in));
    SAY(feof(in) != 0);
    SAY(dprintf(p[1], "to nobody\n") > 0);
    SAY(fclose(in));
    SAY(write(p[0], "x", 1));
}
