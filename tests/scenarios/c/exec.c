/* New programs: exec, vfork, posix_spawn, system, popen; a new image that uses an inherited socket. */
#include "scenario.h"

#include <spawn.h>

extern char **environ;
static char self[PATH_MAX];

static void find_self(void)
{
    self[MUST(readlink("/proc/self/exe", self, sizeof self - 1))] = 0;
}

/* The new image: echoes on the socket that its third argument names. */
HELPER(echo_on_number)
{
    int fd = atoi(scenario_argv[2]);
    char buf[4096];
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
        if (!send_all(fd, buf, (size_t)n))
            break;
    _exit(n == 0 ? 0 : 1);
}

HELPER(serve_on_number)
{
    int fd = accept(atoi(scenario_argv[2]), NULL, NULL);
    char buf[64];
    ssize_t n = read(fd, buf, sizeof buf);
    _exit(n > 0 && write(fd, buf, (size_t)n) == n ? 0 : 1);
}

HELPER(is_it_closed)
{
    _exit(fcntl(atoi(scenario_argv[2]), F_GETFD) == -1 && errno == EBADF ? 0 : 1);
}

static char *const *arguments(const char *helper, int fd)
{
    static char number[16], name[64];
    static char *list[] = {self, name, number, NULL};
    snprintf(number, sizeof number, "%d", fd);
    snprintf(name, sizeof name, "%s", helper);
    return list;
}

enum { FORK, VFORK, SPAWN, SPAWNP, WAYS };
static const char *ways[] = {"fork", "vfork", "posix_spawn", "posix_spawnp with actions"};

static int start(int way, const char *helper, int fd)
{
    char *const *list = arguments(helper, fd);
    int pid = -1;
    posix_spawn_file_actions_t actions;
    switch (way) {
    case FORK:
        if ((pid = fork()) == 0) {
            execv(self, list);
            _exit(99);
        }
        break;
    case VFORK:
        if ((pid = vfork()) == 0) {
            execve(self, list, environ);
            _exit(99);
        }
        break;
    case SPAWN:
        MUST(-posix_spawn(&pid, self, NULL, NULL, list, environ));
        break;
    case SPAWNP: /* the socket becomes number 50 in the child only */
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, fd, 50);
        posix_spawn_file_actions_addclose(&actions, fd);
        list = arguments(helper, 50);
        MUST(-posix_spawnp(&pid, self, &actions, NULL, list, environ));
        posix_spawn_file_actions_destroy(&actions);
        break;
    }
    return pid;
}

SCENARIO(new_image_uses_connection)
{
    find_self();
    for (int way = 0; way < WAYS; way++) {
        int p[2];
        char c;
        tcp_pair(p);
        say("by %s", ways[way]);
        MUST(fcntl(p[0], F_SETFD, FD_CLOEXEC));
        SAY(send(p[0], "1", 1, 0)); /* waits unread in the kernel while the program changes */
        int pid = start(way, "echo_on_number", p[1]);
        SAY(close(p[1]));
        SAY(recv(p[0], &c, 1, 0));
        SAY(echoes(p[0], "hello there"));
        SAY(echoes(p[0], "once more"));
        SAY(shutdown(p[0], SHUT_WR));
        SAY(recv(p[0], &c, 1, 0));
        reap(pid);
        SAY(close(p[0]));
    }
}

SCENARIO(new_image_uses_listener)
{
    find_self();
    for (int way = 0; way < WAYS; way++) {
        int l = listening(AF_INET, 4);
        say("by %s", ways[way]);
        int pid = start(way, "serve_on_number", l), c = dialled(AF_INET, port_of(l));
        SAY(echoes(c, "to the new image"));
        reap(pid);
        SAY(close(c));
        SAY(close(l));
    }
}

SCENARIO(close_on_exec)
{
    find_self();
    int a = (int)SAY(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), b = bound(AF_INET, SOCK_DGRAM);
    MUST(fcntl(b, F_SETFD, FD_CLOEXEC));
    for (int way = 0; way < SPAWNP; way++) {
        reap(start(way, "is_it_closed", a));
        reap(start(way, "is_it_closed", b));
    }
    SAY(fcntl(a, F_GETFD));
    SAY(port_of(b) > 0);
}

/* A failed exec leaves everything as it was. */
SCENARIO(failed_exec)
{
    int p[2], pid;
    char c;
    tcp_pair(p);
    SAY(execl("/no/such/program", "program", (char *)NULL));
    SAY(send(p[0], "x", 1, 0));
    SAY(recv(p[1], &c, 1, 0));
    if ((pid = (int)vfork()) == 0) {
        execl("/no/such/program", "program", (char *)NULL);
        _exit(errno == ENOENT ? 7 : 8);
    }
    reap(pid);
    SAY(send(p[0], "x", 1, 0));
    SAY(recv(p[1], &c, 1, 0));
    SAY(posix_spawn(&pid, "/no/such/program", NULL, NULL, (char *[]){"program", NULL}, environ) == ENOENT);
    SAY(system("exit 3") >> 8);
}

/* A child of vfork shares our memory: what it does to descriptors must not reach our books. */
SCENARIO(vfork_child_closes_and_copies)
{
    int p[2], pid;
    char buf[8];
    tcp_pair(p);
    MUST(fcntl(p[1], F_SETFD, FD_CLOEXEC));
    SAY(send(p[0], "ab", 2, 0));
    for (int i = 0; i < 3; i++) {
        if ((pid = (int)vfork()) == 0) {
            dup2(p[0], 0);
            dup2(p[0], p[1]);
            close(p[0]);
            closefrom(3);
            execl("/bin/true", "true", (char *)NULL);
            _exit(99);
        }
        reap(pid);
    }
    SAY(recv(p[1], buf, 8, 0));
    SAY(send(p[1], "cd", 2, 0));
    show("parent", buf, SAY(recv(p[0], buf, 8, 0)));
    SAY(fcntl(0, F_GETFD));
    SAY(close(p[0]));
    SAY(recv(p[1], buf, 8, 0));
}

SCENARIO(system_and_popen)
{
    int p[2];
    char line[64], c;
    tcp_pair(p);
    for (int i = 0; i < 3; i++) {
        SAY(system("exit 5") >> 8);
        SAY(system("echo from the shell"));
        FILE *out = popen("echo in a pipe; cat /dev/null", "r");
        show("line", line, fgets(line, sizeof line, out) ? (long)strlen(line) : -1);
        SAY(pclose(out));
        SAY(send(p[0], "x", 1, 0));
        SAY(recv(p[1], &c, 1, 0));
    }
    FILE *in = popen("cat", "w");
    SAY(fprintf(in, "through cat\n"));
    SAY(pclose(in));
}

/* inetd's way: the connection is the new program's standard input and output. */
SCENARIO(shell_on_a_socket)
{
    int p[2], pid;
    char buf[64];
    tcp_pair(p);
    if ((pid = (int)MUST(fork())) == 0) {
        dup2(p[1], 0);
        dup2(p[1], 1);
        closefrom(3);
        execl("/bin/sh", "sh", "-c", "read line; echo \"you said $line\"; cat", (char *)NULL);
        _exit(99);
    }
    SAY(close(p[1]));
    SAY(send(p[0], "hello\nrest", 10, 0));
    SAY(shutdown(p[0], SHUT_WR));
    size_t n = 0;
    for (ssize_t r; (r = recv(p[0], buf + n, sizeof buf - n, 0)) > 0;)
        n += (size_t)r;
    show("answer", buf, (long)n);
    reap(pid);
}

/* The whole process becomes another program while a thread is blocked. */
static void block(void *arg)
{
    char c;
    (void)!recv(*(int *)arg, &c, 1, 0);
}

SCENARIO(exec_beside_a_blocked_thread)
{
    find_self();
    int p[2], q[2];
    char c;
    tcp_pair(p);
    tcp_pair(q);
    int pid = (int)MUST(fork());
    if (pid == 0) {
        struct worker w;
        close(p[0]);
        close(q[0]);
        begin(&w, block, &q[1]);
        await_sleep(w.tid);
        execv(self, arguments("echo_on_number", p[1]));
        _exit(99);
    }
    SAY(close(p[1]));
    SAY(close(q[1]));
    SAY(echoes(p[0], "changed"));
    SAY(close(p[0]));
    reap(pid);
    SAY(recv(q[0], &c, 1, 0));
}
