/* Starts a program under what a service manager puts on one: `confined [OPTION...] -- PROGRAM ARGS`.
 *
 * nonewprivs; mdwe (no memory both writable and executable, by prctl); nowx (the same, by a filter); families=N,N (sockets of
 * these address families only); only=N,N and deny=N,N (system calls by number; others, or these, get EPERM; kill=N,N: these
 * end the process); user=N (user and group, no others); fd=N (a listening TCP socket on 127.0.0.1:N becomes descriptor 3, as
 * in socket activation). In this order, whatever the order of the words. */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

static void check(int bad, const char *what)
{
    if (bad) {
        perror(what);
        exit(125);
    }
}

static struct sock_filter code[4000];
static unsigned short size;

static void add(struct sock_filter one)
{
    check(size == sizeof code / sizeof *code, "filter");
    code[size++] = one;
}

static void load(size_t at) { add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)at)); }
static void answer(unsigned what) { add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what)); }
static void unless(unsigned short test, unsigned value, unsigned char skip)
{
    add((struct sock_filter)BPF_JUMP((unsigned short)(BPF_JMP | BPF_K | test), value, 0, skip));
}

#define ARGUMENT(n) offsetof(struct seccomp_data, args[n])
#define REFUSED(error) (SECCOMP_RET_ERRNO | (error))

/* For each number in `list`: `then`. At the end: `rest`. */
static void each(const char *list, unsigned then, unsigned rest)
{
    while (*list) {
        char *end;
        unless(BPF_JEQ, (unsigned)strtoul(list, &end, 10), 1);
        answer(then);
        list = *end == ',' ? end + 1 : end;
    }
    answer(rest);
}

static void begin(void)
{
    size = 0;
    load(offsetof(struct seccomp_data, nr));
}

static void put(void)
{
    struct sock_fprog program = {size, code};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0, "no_new_privs");
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0, "seccomp");
}

static void filter(const char *kind, const char *list)
{
    begin();
    if (strcmp(kind, "families") == 0) {
        unless(BPF_JEQ, SYS_socket, 1);
        add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0));
        answer(SECCOMP_RET_ALLOW);
        load(ARGUMENT(0));
        each(list, SECCOMP_RET_ALLOW, REFUSED(EAFNOSUPPORT));
    } else if (strcmp(kind, "nowx") == 0) { /* as systemd does: no mapping made or turned executable that can be written */
        unless(BPF_JEQ, SYS_mmap, 5);
        load(ARGUMENT(2));
        add((struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC));
        unless(BPF_JEQ, PROT_WRITE | PROT_EXEC, 1);
        answer(REFUSED(EPERM));
        answer(SECCOMP_RET_ALLOW);
        unless(BPF_JEQ, SYS_mprotect, 3);
        load(ARGUMENT(2));
        unless(BPF_JSET, PROT_EXEC, 1);
        answer(REFUSED(EPERM));
        answer(SECCOMP_RET_ALLOW); /* also of what is none of the two */
    } else if (strcmp(kind, "only") == 0) {
        each(list, SECCOMP_RET_ALLOW, REFUSED(EPERM));
    } else {
        each(list, strcmp(kind, "kill") == 0 ? SECCOMP_RET_KILL_PROCESS : REFUSED(EPERM), SECCOMP_RET_ALLOW);
    }
    put();
}

static void listener(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    check(fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0, "socket");
    check(bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 100) != 0, "listen");
    if (fd != 3) {
        check(dup2(fd, 3) != 3, "dup2");
        close(fd);
    }
}

int main(int argc, char **argv)
{
    static const char *const order[] = {"fd", "user", "nonewprivs", "mdwe", "nowx", "families", "deny", "kill", "only"};
    int last = 1;
    while (last < argc && strcmp(argv[last], "--") != 0)
        last++;
    if (last + 1 >= argc)
        return 125;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (int at = 1; at < last; at++) {
            size_t n = strlen(order[i]);
            if (strncmp(argv[at], order[i], n) != 0 || (argv[at][n] && argv[at][n] != '='))
                continue;
            const char *value = argv[at][n] ? argv[at] + n + 1 : "";
            if (strcmp(order[i], "fd") == 0)
                listener(atoi(value));
            else if (strcmp(order[i], "user") == 0)
                check(setgroups(0, NULL) != 0 || setgid((gid_t)atoi(value)) != 0 || setuid((uid_t)atoi(value)) != 0, "user");
            else if (strcmp(order[i], "nonewprivs") == 0)
                check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0, "no_new_privs");
            else if (strcmp(order[i], "mdwe") == 0)
                check(prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0, "mdwe");
            else
                filter(order[i], value);
        }
    execvp(argv[last + 1], argv + last + 1);
    perror(argv[last + 1]);
    return 126;
}
