/* Servers with a process for each connection, and what else happens to a socket that a parent and its children have: who closes
 * it first, late or never, forked twice, numbers used again, new images, epoll sets. Where SCENARIO_NOTES names a file, each
 * process says there whether its connection is in shared memory. */
#include "scenario.h"

#include <sys/prctl.h>

enum { TURNS = 120 };

static void note(const char *who)
{
    char line[4096];
    bool found = false;
    if (!getenv("SCENARIO_NOTES"))
        return;
    FILE *maps = fopen("/proc/self/maps", "re"), *notes = fopen(getenv("SCENARIO_NOTES"), "ae");
    while (fgets(line, sizeof line, maps))
        found |= strstr(line, "catflap-pair") != NULL;
    fprintf(notes, "%s %d\n", who, found);
    fclose(notes);
    fclose(maps);
}

static bool serve(int fd, int turns)
{
    char buf[8];
    for (int i = 0; i < turns; i++)
        if (!recv_all(fd, buf, 5) || !send_all(fd, buf, 5))
            return false;
    return true;
}

static int ask(int fd, int turns)
{
    int right = 0;
    char text[8];
    for (int i = 0; i < turns; i++) {
        snprintf(text, sizeof text, "%05d", i);
        right += echoes(fd, text);
    }
    return right;
}

static int go[2], back[2];
static void wait_for(int fd) { MUST(read(fd, &(char){0}, 1)); }
static void tell(int fd) { MUST(write(fd, "x", 1)); }

/* The server is a child whose listener only it has. */
static int start(void (*server)(int), int *port)
{
    MUST(pipe(go));
    MUST(pipe(back));
    int l = listening(AF_INET, 16), pid = (int)MUST(fork());
    *port = port_of(l);
    if (pid == 0) {
        server(l);
        _exit(0);
    }
    MUST(close(l));
    return pid;
}

/* A process serves `turns` of the connection and says so. */
static void child(int fd, int turns, const char *who)
{
    bool fine = serve(fd, turns);
    note(who);
    _exit(fine ? 0 : 1);
}

static void reaped(int pid)
{
    int status;
    MUST(waitpid(pid, &status, 0));
    if (status)
        say("BROKEN: status %x", (unsigned)status);
}

/* The usual way: the parent closes its copy as soon as the child has one. */
static void closes_first(int l)
{
    for (int i = 0; i < 3; i++) { /* the number is used again and again */
        int fd = (int)MUST(accept(l, NULL, NULL)), pid = (int)MUST(fork());
        if (pid == 0) {
            MUST(close(l));
            child(fd, TURNS, "child");
        }
        MUST(close(fd));
        reaped(pid);
    }
    note("server");
}

SCENARIO(parent_closes_first)
{
    int port, server = start(closes_first, &port);
    for (int i = 0; i < 3; i++) {
        int fd = dialled(AF_INET, port);
        SAY(ask(fd, TURNS));
        SAY(recv(fd, &(char){0}, 1, 0));
        SAY(close(fd));
    }
    reap(server);
}

/* Until its child has ended it has the connection too, and then alone. */
static void keeps(int l)
{
    int fd = (int)MUST(accept(l, NULL, NULL)), pid = (int)MUST(fork());
    if (pid == 0)
        child(fd, TURNS, "child");
    reaped(pid);
    if (!serve(fd, TURNS))
        _exit(1);
    note("server");
}

SCENARIO(parent_keeps)
{
    int port, server = start(keeps, &port), fd = dialled(AF_INET, port);
    SAY(ask(fd, 2 * TURNS));
    reap(server);
}

/* Both write, in turns: what one of them sends is behind what the other has sent. `copied`: the child by another number. */
static bool copied;
static void shares(int l)
{
    int fd = (int)MUST(accept(l, NULL, NULL)), pid = (int)MUST(fork());
    if (pid == 0 && copied) {
        int copy = (int)MUST(dup(fd));
        MUST(close(fd));
        fd = copy;
    }
    for (int i = 0; i < TURNS; i++) {
        if (pid == 0) {
            wait_for(go[0]);
            MUST(send(fd, "child", 5, 0));
            tell(back[1]);
        } else {
            MUST(send(fd, "pater", 5, 0));
            tell(go[1]);
            wait_for(back[0]);
        }
    }
    note(pid ? "server" : "child");
    if (pid == 0)
        _exit(0);
    reaped(pid);
}

static void hear_both(bool by_copy)
{
    copied = by_copy;
    int port, server = start(shares, &port), fd = dialled(AF_INET, port), right = 0;
    char buf[16] = "";
    for (int i = 0; i < TURNS; i++)
        right += recv_all(fd, buf, 10) && memcmp(buf, "paterchild", 10) == 0;
    SAY(right);
    reap(server);
}

SCENARIO(parent_and_child_write) { hear_both(false); }
SCENARIO(child_writes_to_a_copy) { hear_both(true); }

static void closes_late(int l)
{
    int fd = (int)MUST(accept(l, NULL, NULL)), pid = (int)MUST(fork());
    if (pid == 0) {
        bool fine = serve(fd, TURNS);
        note("before");
        tell(go[1]);
        wait_for(back[0]);
        fine &= serve(fd, TURNS);
        note("after");
        _exit(fine ? 0 : 1);
    }
    wait_for(go[0]);
    MUST(close(fd));
    tell(back[1]);
    reaped(pid);
}

SCENARIO(parent_closes_late)
{
    int port, server = start(closes_late, &port), fd = dialled(AF_INET, port);
    SAY(ask(fd, 2 * TURNS));
    reap(server);
}

/* The one between has closed nothing and is gone. */
static void forks_twice(int l)
{
    int fd = (int)MUST(accept(l, NULL, NULL)), pid = (int)MUST(fork());
    if (pid == 0) {
        if (MUST(fork()) == 0) {
            wait_for(go[0]);
            child(fd, TURNS, "grandchild");
        }
        _exit(0);
    }
    reaped(pid);
    MUST(close(fd));
    tell(go[1]);
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
}

SCENARIO(forked_twice)
{
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
    int port, server = start(forks_twice, &port), fd = dialled(AF_INET, port);
    SAY(ask(fd, TURNS));
    reap(server);
    reap(-1);
}

/* Two children have it, and the number means another connection meanwhile. */
static void lends_twice(int l)
{
    int fd = (int)MUST(accept(l, NULL, NULL)), pids[3];
    for (int i = 0; i < 2; i++)
        if ((pids[i] = (int)MUST(fork())) == 0) {
            if (i == 1) {
                wait_for(go[0]);
                MUST(close(fd));
                tell(back[1]);
                wait_for(go[0]);
                _exit(0);
            }
            child(fd, 2 * TURNS, "first");
        }
    MUST(close(fd));
    fd = (int)MUST(accept(l, NULL, NULL));
    if ((pids[2] = (int)MUST(fork())) == 0)
        child(fd, TURNS, "second");
    MUST(close(fd));
    for (int i = 0; i < 3; i++)
        reaped(pids[i]);
}

SCENARIO(lent_twice)
{
    int port, server = start(lends_twice, &port), a = dialled(AF_INET, port), b = dialled(AF_INET, port);
    SAY(ask(a, TURNS));
    note("client, first"); /* nothing is in rings yet */
    SAY(ask(b, TURNS));
    tell(go[1]);
    wait_for(back[0]);
    SAY(ask(a, TURNS));
    tell(go[1]);
    reap(server);
}

/* A child that executes something else takes no copy along, or takes it for good. */
static void executes(int l)
{
    int fd = (int)MUST(accept4(l, NULL, NULL, SOCK_CLOEXEC)), pid = (int)MUST(fork());
    if (pid == 0) {
        execl("/nowhere", "nowhere", NULL); /* a new image that does not come */
        bool fine = serve(fd, TURNS);
        note("child");
        execl("/bin/true", "true", NULL);
        _exit(fine ? 0 : 1);
    }
    reaped(pid);
    bool fine = serve(fd, TURNS);
    note("server");
    if ((pid = (int)MUST(fork())) == 0) {
        MUST(dup2(fd, 0));
        MUST(dup2(fd, 1));
        execl("/bin/cat", "cat", NULL);
        _exit(1);
    }
    MUST(close(fd));
    reaped(pid);
    _exit(fine ? 0 : 1);
}

SCENARIO(children_with_new_images)
{
    int port, server = start(executes, &port), fd = dialled(AF_INET, port);
    SAY(ask(fd, 3 * TURNS));
    SAY(shutdown(fd, SHUT_WR));
    SAY(recv(fd, &(char){0}, 1, 0));
    reap(server);
}

static void loses_its_child(int l)
{
    int fd = (int)MUST(accept(l, NULL, NULL)), pid = (int)MUST(fork());
    if (pid == 0)
        _exit(serve(fd, TURNS) ? raise(SIGKILL) : 1);
    int status;
    MUST(waitpid(pid, &status, 0));
    bool fine = WTERMSIG(status) == SIGKILL && serve(fd, TURNS);
    note("server");
    _exit(fine ? 0 : 1);
}

SCENARIO(child_is_killed)
{
    int port, server = start(loses_its_child, &port), fd = dialled(AF_INET, port);
    SAY(ask(fd, 2 * TURNS));
    reap(server);
}

/* As postgres: the child waits for its connection in a set of its own. `copy`: by another number of the set. */
static bool serve_by_set(int fd, bool copy)
{
    struct epoll_event e = {EPOLLIN, {.u64 = 1ull << 40 | 7}};
    int ep = (int)MUST(epoll_create1(0)), by = ep;
    bool fine = true;
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    fine &= epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == -1 && errno == EEXIST;
    if (copy)
        by = (int)MUST(dup(ep));
    for (int i = 0; i < TURNS && fine; i++) {
        e = (struct epoll_event){EPOLLIN, {.u64 = i < 4 ? 1 << i : 8}}; /* changed at first, when it is not used enough yet */
        MUST(i < 4 ? epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e) : 0);
        fine &= epoll_wait(by, &e, 1, 5000) == 1 && e.data.u64 == (i < 4 ? 1ull << i : 8) && e.events == EPOLLIN && serve(fd, 1);
    }
    MUST(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    fine &= epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL) == -1 && errno == ENOENT;
    return fine;
}

static void by_set(int l)
{
    struct epoll_event e = {EPOLLIN, {.fd = l}};
    int ep = (int)MUST(epoll_create1(0));
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e)); /* a listener in a set is no reason for a host */
    for (int i = 0; i < 2; i++) {
        MUST(epoll_wait(ep, &e, 1, 5000));
        int fd = (int)MUST(accept(l, NULL, NULL)), pid = (int)MUST(fork());
        if (pid == 0) {
            bool fine = serve_by_set(fd, i);
            note(i ? "copied" : "set");
            _exit(fine ? 0 : 1);
        }
        MUST(close(fd));
        reaped(pid);
    }
    note("server");
}

SCENARIO(children_with_sets)
{
    int port, server = start(by_set, &port);
    for (int i = 0; i < 2; i++) {
        int fd = dialled(AF_INET, port);
        SAY(ask(fd, TURNS));
        MUST(close(fd));
    }
    reap(server);
}

/* A set in a set: only the outer one is waited for. */
static void nests(int l)
{
    struct epoll_event e = {EPOLLIN, {.u64 = 1}}, inner = {EPOLLIN, {.u64 = 2}};
    int fd = (int)MUST(accept(l, NULL, NULL)), in = (int)MUST(epoll_create1(0)), out = (int)MUST(epoll_create1(0));
    MUST(epoll_ctl(in, EPOLL_CTL_ADD, fd, &inner));
    MUST(epoll_ctl(out, EPOLL_CTL_ADD, in, &e));
    bool fine = true;
    for (int i = 0; i < TURNS && fine; i++)
        fine &= epoll_wait(out, &e, 1, 5000) == 1 && e.data.u64 == 1 && serve(fd, 1);
    _exit(fine ? 0 : 1);
}

SCENARIO(set_in_a_set)
{
    int port, server = start(nests, &port), fd = dialled(AF_INET, port);
    SAY(ask(fd, TURNS));
    reap(server);
}

static void copies_its_listener(int l)
{
    int copy = (int)SAY(dup(l)), other = (int)SAY(fcntl(l, F_DUPFD_CLOEXEC, 50));
    SAY(close(l));
    int first = (int)SAY(accept(copy, NULL, NULL)), second = (int)SAY(accept4(other, NULL, NULL, SOCK_NONBLOCK));
    SAY(dup2(first, copy)); /* a listener no more */
    SAY(accept(copy, NULL, NULL));
    MUST(close(copy));
    SAY(accept(copy, NULL, NULL));
    SAY(fcntl(second, F_GETFL) & O_NONBLOCK);
    bool fine = serve(first, TURNS);
    note("server");
    _exit(fine ? 0 : 1);
}

SCENARIO(listeners_have_copies)
{
    int port, server = start(copies_its_listener, &port), a = dialled(AF_INET, port), b = dialled(AF_INET, port);
    int right = ask(a, TURNS);
    reap(server);
    SAY(right);
    SAY(close(b));
}
