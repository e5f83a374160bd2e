/* The fortified entries (__read_chk, __recv_chk, __poll_chk and others): sizes that the compiler can't see through. */
#include "scenario.h"

static volatile size_t eight = 8, four = 4;
static volatile nfds_t two = 2;

SCENARIO(checked_calls)
{
    int p[2], u[2];
    tcp_pair(p);
    udp_pair(u);
    char buf[16] = "", room[32];
    SAY(send(p[0], "abcdefghijkl", 12, 0));
    await_bytes(p[1], 12);
    show("read", buf, SAY(read(p[1], buf, four)));
    show("recv", buf, SAY(recv(p[1], buf, four, 0)));
    show("recvfrom", buf, SAY(recvfrom(p[1], buf, four, 0, NULL, NULL)));
    SAY(recv(p[1], buf, eight, MSG_DONTWAIT));
    SAY(send(u[0], "datagram", 8, 0));
    struct name from = {.len = sizeof from.room};
    show("UDP", buf, SAY(recvfrom(u[1], buf, eight, 0, &from.any, &from.len)));
    SAY(from.len);
    struct pollfd set[2] = {{p[1], POLLIN, 0}, {u[1], POLLIN, 0}};
    SAY(poll(set, two, 10));
    SAY(send(u[0], "x", 1, 0));
    SAY(poll(set, two, 1000));
    SAY(set[0].revents);
    SAY(set[1].revents);
    SAY(ppoll(set, two, &(struct timespec){1, 0}, NULL));
    fd_set r;
    volatile int fd = u[1];
    FD_ZERO(&r);
    FD_SET(fd, &r);
    SAY(select(fd + 1, &r, NULL, NULL, NULL));
    SAY(FD_ISSET(fd, &r) != 0);
    SAY(recv(-1, room, four, 0));
    SAY(read(p[1], room, four * 0));
    SAY(shutdown(p[0], SHUT_WR));
    SAY(read(p[1], room, eight));
}

/* A size beyond the buffer ends the program, fortified; unfortified the kernel fills what is there. */
SCENARIO(overflow_is_caught)
{
    int pid = (int)MUST(fork());
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        int p[2];
        char small[4];
        tcp_pair(p);
        MUST(send(p[0], "x", 1, 0));
        dup2(open("/dev/null", O_WRONLY), 2);
        (void)!recv(p[1], small, eight, 0);
        _exit(small[0] == 'x' ? 0 : 1);
    }
    reap(pid);
}
