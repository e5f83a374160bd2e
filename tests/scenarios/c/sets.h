/* epoll sets whose events are said with the numbers that they are for. */
#ifndef SETS_H
#define SETS_H

static MAYBE const char *events(uint32_t e)
{
    static __thread char text[128];
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{EPOLLIN, "IN"}, {EPOLLPRI, "PRI"}, {EPOLLOUT, "OUT"}, {EPOLLERR, "ERR"}, {EPOLLHUP, "HUP"},
                 {EPOLLRDHUP, "RDHUP"}, {EPOLLRDNORM, "RDNORM"}, {EPOLLWRNORM, "WRNORM"}};
    *text = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (e & names[i].bit)
            strcat(strcat(text, *text ? "|" : ""), names[i].name);
    return text;
}

static MAYBE int add(int ep, int fd, uint32_t mask)
{
    struct epoll_event e = {mask, {.u64 = 0x1122334400000000ull | (unsigned)fd}};
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static MAYBE int change(int ep, int fd, uint32_t mask)
{
    struct epoll_event e = {mask, {.u64 = 0x1122334400000000ull | (unsigned)fd}};
    return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}

static MAYBE int look(const char *what, int ep, int ms)
{
    struct epoll_event got[16];
    int n = epoll_wait(ep, got, 16, ms);
    say("%s: %d%s%s", what, n, n < 0 ? " " : "", n < 0 ? name_of(errno) : "");
    for (int fd = 0; fd < 64; fd++) /* the order is not promised */
        for (int i = 0; i < n; i++)
            if ((int)(uint32_t)got[i].data.u64 == fd)
                say("  %d: %s%s", fd, events(got[i].events), got[i].data.u64 >> 32 == 0x11223344 ? "" : " data lost");
    return n;
}

#endif
