/* Sending to a peer that sends no more, and may read or not. */
#include "scenario.h"

enum { BY_POLL, BY_LEVEL, BY_EDGE, ONCE, SETS };

static bool room(int way, int ep, int fd, int ms)
{
    struct pollfd one = {fd, POLLOUT, 0};
    struct epoll_event got = {0};
    if (way == BY_POLL)
        return poll(&one, 1, ms) == 1 && one.revents & POLLOUT;
    got = (struct epoll_event){EPOLLOUT | EPOLLONESHOT, {0}};
    if (way == ONCE)
        MUST(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &got));
    return epoll_wait(ep, &got, 1, ms) == 1 && got.events & EPOLLOUT;
}

static uint64_t send_until_full(int fd, char *part, size_t n, uint64_t sent)
{
    for (ssize_t r; fill(part, n, sent, 5), (r = send(fd, part, n, MSG_DONTWAIT)) > 0;)
        sent += (uint64_t)r;
    return sent;
}

static void receive_to_end(int fd, char *part, size_t n, uint64_t sent)
{
    uint64_t got = 0;
    bool fine = true;
    for (ssize_t r; (r = recv(fd, part, n, 0)) > 0; got += (uint64_t)r)
        fine = fine && matches(part, (size_t)r, got, 5);
    say("as sent: %d, all of it: %d", fine, got == sent);
}

static void small_buffers(int p[2])
{
    int to_send = 16384, to_receive = 1 << 17;
    tcp_pair(p);
    MUST(setsockopt(p[1], SOL_SOCKET, SO_SNDBUF, &to_send, sizeof to_send));
    MUST(setsockopt(p[0], SOL_SOCKET, SO_RCVBUF, &to_receive, sizeof to_receive));
}

/* A peer that sends no more and does not read yet: whenever there is said to be room for it, there is; and it is said when
 * there is room once more. */
SCENARIO(full_and_a_goodbye)
{
    static char part[100003];
    for (int way = 0; way < SETS * 2; way++) {
        int p[2], ep = (int)MUST(epoll_create1(EPOLL_CLOEXEC)), how = way % SETS, lies = 0;
        struct epoll_event asked = {EPOLLOUT | (how == BY_EDGE ? EPOLLET : 0), {0}};
        uint64_t sent = 0;
        ssize_t n = 1;
        small_buffers(p);
        if (how != BY_POLL)
            MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &asked));
        CHECK(room(how, ep, p[1], 1000));
        for (int goodbye = 0; goodbye < 2; goodbye++)
            if (goodbye == (way >= SETS))
                sent = send_until_full(p[1], part, sizeof part, sent);
            else
                MUST(shutdown(p[0], SHUT_WR));
        CHECK(readable(p[1], 1000) == 1);
        for (int turn = 0; turn < 50 && room(how, ep, p[1], 50); turn++) {
            uint64_t before = sent;
            sent = send_until_full(p[1], part, sizeof part, sent);
            lies += sent == before;
        }
        say("announced and not there: %d", lies);
        for (uint64_t got = 0; got < sent && n > 0; got += (uint64_t)n)
            n = recv(p[0], part, sizeof part, 0);
        say("announced when there: %d", room(how, ep, p[1], 1000));
        close(p[0]);
        close(p[1]);
        close(ep);
    }
}

static void send_most(void *arg)
{
    static char much[1 << 20];
    fill(much, sizeof much, 0, 5);
    MUST(send_all(*(int *)arg, much, sizeof much) - 1);
    MUST(shutdown(*(int *)arg, SHUT_WR));
}

/* Who waits for room there is asleep. */
SCENARIO(asleep_after_a_goodbye)
{
    static char part[65536];
    int p[2];
    struct worker w;
    struct rusage before, after;
    small_buffers(p);
    SAY(shutdown(p[0], SHUT_WR));
    begin(&w, send_most, &p[1]);
    await_sleep(w.tid);
    nap_ms(20);
    getrusage(RUSAGE_SELF, &before);
    nap_ms(300);
    getrusage(RUSAGE_SELF, &after);
    long used = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000 +
                (after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1000;
    say("asleep: %d", used < 100);
    receive_to_end(p[0], part, sizeof part, 1 << 20);
    join(&w);
}
