/* A program that gives something up and then talks to itself: `leaving WHEN HOW [WHERE]`.
 *
 * WHEN is first (before its first socket) or later; HOW is nothing, chroot, nobody (user and group 65534 for good),
 * jail (chroot, then nobody) or descriptors (all numbers but WHERE are taken). What it tells the harness with is opened
 * before. */
#define OWN_MAIN
#include "scenario.h"

#include <grp.h>

enum { NOBODY = 65534 };
static const char *how, *where;

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static void leave(void)
{
    if (is(how, "chroot") || is(how, "jail")) {
        MUST(chroot(where));
        MUST(chdir("/"));
    }
    if (is(how, "nobody") || is(how, "jail")) {
        MUST(setgroups(0, NULL));
        MUST(setresgid(NOBODY, NOBODY, NOBODY));
        MUST(setresuid(NOBODY, NOBODY, NOBODY));
    }
    if (is(how, "descriptors")) {
        int highest = (int)MUST(dup(0));
        MUST(close(highest));
        rlim_t end = (rlim_t)(highest + atoi(where));
        struct rlimit few = {end, end};
        MUST(setrlimit(RLIMIT_NOFILE, &few));
    }
}

static void talk(void)
{
    char text[16] = "";
    int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct name a = loopback(AF_INET, 0);
    MUST(bind(fd, &a.any, a.len));
    MUST(getsockname(fd, &a.any, &a.len));
    SAY(connect(fd, &a.any, a.len));
    SAY(send(fd, "to myself", 9, 0));
    SAY(readable(fd, 1000));
    SAY(recv(fd, text, sizeof text, 0));
    show("text", text, 9);
    SAY(recv(fd, text, sizeof text, MSG_DONTWAIT));
    SAY(socket(AF_INET, 77, 0));
    SAY(setsockopt(fd, IPPROTO_TCP, 1, text, 4));
    int copy = dup(fd);
    say("a copy: %d", copy > fd);
    close(copy);
    int set = epoll_create1(0);
    struct epoll_event event = {EPOLLIN | EPOLLOUT, {.u32 = 5}};
    SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    SAY(epoll_wait(set, &event, 1, 100));
    close(set);
    int pid = (int)MUST(fork());
    if (pid == 0)
        _exit(send(fd, "from a child", 12, 0) == 12 ? 3 : 4);
    reap(pid);
    SAY(recv(fd, text, sizeof text, 0));
    SAY(close(fd));
    SAY(send(fd, "x", 1, 0));
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    how = argv[2];
    where = argc > 3 ? argv[3] : "/";
    const char *path = getenv("FLAP_NOTE");
    FILE *maps = fopen("/proc/self/maps", "re"), *note = path ? fopen(path, "ae") : NULL;
    if (is(argv[1], "later"))
        talk();
    leave();
    talk();
    if (maps && note) {
        char line[4096];
        bool host = false;
        while (fgets(line, sizeof line, maps))
            host |= strstr(line, "libcatflap_host") != NULL;
        fprintf(note, "host %d\n", host);
    }
    say("end");
    return 0;
}
