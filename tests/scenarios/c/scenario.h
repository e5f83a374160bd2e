/* What every scenario shares: a transcript on stdout that must not depend on who carries the bytes.
 *
 * A family is one C file; SCENARIO(name) adds a behaviour to it, HELPER(name) something that only other scenarios start
 * (after exec). SAY(call) runs a call and writes it with its result, or the name of its errno. Descriptor numbers are
 * part of a transcript: a program gets the same ones everywhere. Ports, times and process ids are not. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAYBE __attribute__((unused))

struct scenario {
    const char *name;
    void (*run)(void);
    struct scenario *next;
};
static MAYBE struct scenario *scenarios;
static MAYBE int scenario_argc;
static MAYBE char **scenario_argv;

#define SCENARIO(title)                                                                                                \
    static void title(void);                                                                                           \
    __attribute__((constructor)) static void add_##title(void)                                                         \
    {                                                                                                                  \
        static struct scenario entry = {#title, title, NULL};                                                          \
        entry.next = scenarios;                                                                                        \
        scenarios = &entry;                                                                                            \
    }                                                                                                                  \
    static void title(void)
#define HELPER(title) SCENARIO(title)

/* One line of the transcript: one system call of our own, so that threads, handlers and forked children may all speak. */
__attribute__((format(printf, 1, 2))) static MAYBE void say(const char *format, ...)
{
    int error = errno;
    char line[1024];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line - 1, format, ap);
    va_end(ap);
    if (n > (int)sizeof line - 2)
        n = sizeof line - 2;
    line[n++] = '\n';
    for (char *p = line; n > 0;) {
        long w = syscall(SYS_write, 1, p, n);
        if (w < 0 && errno != EINTR)
            break;
        if (w > 0) {
            p += w;
            n -= (int)w;
        }
    }
    errno = error;
}

/* A system call by an instruction of our own, as programs without libc make it. */
static MAYBE long bare(long number, long a, long b)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(number), "D"(a), "S"(b) : "rcx", "r11", "memory");
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

static MAYBE const char *name_of(int error)
{
    const char *name = error ? strerrorname_np(error) : "none";
    return name ? name : "unknown";
}

static MAYBE long told(const char *what, long r, int error)
{
    if (r == -1)
        say("%s -> -1 %s", what, name_of(error));
    else
        say("%s -> %ld", what, r);
    errno = error;
    return r;
}
#define SAY(...)                                                                                                       \
    ({                                                                                                                 \
        errno = 0;                                                                                                     \
        long value_ = (long)(__VA_ARGS__);                                                                             \
        told(#__VA_ARGS__, value_, errno);                                                                             \
    })

/* A fact that holds on every kernel; the harness fails on the word BROKEN. */
#define CHECK(...)                                                                                                     \
    do {                                                                                                               \
        if (__VA_ARGS__)                                                                                               \
            say("%s", #__VA_ARGS__);                                                                                   \
        else                                                                                                           \
            say("BROKEN line %d: %s (errno %s)", __LINE__, #__VA_ARGS__, name_of(errno));                              \
    } while (0)

/* Silent unless it fails: set-up that is not what a scenario is about. */
#define MUST(...)                                                                                                      \
    ({                                                                                                                 \
        long must_ = (long)(__VA_ARGS__);                                                                              \
        if (must_ < 0) {                                                                                               \
            say("BROKEN line %d: %s: %s", __LINE__, #__VA_ARGS__, name_of(errno));                                     \
            _exit(9);                                                                                                  \
        }                                                                                                              \
        must_;                                                                                                         \
    })

static MAYBE void show(const char *label, const void *bytes, long n)
{
    char text[300], *p = text;
    const unsigned char *b = bytes;
    for (long i = 0; i < n && i < 64; i++)
        p += b[i] >= 32 && b[i] < 127 ? sprintf(p, "%c", b[i]) : sprintf(p, "\\x%02x", b[i]);
    *p = 0;
    say("%s %ld \"%s\"%s", label, n, text, n > 64 ? "..." : "");
}

/* Wrong on purpose; volatile, so that the compiler does not see it. */
static MAYBE void *volatile nowhere = (void *)16, *volatile null = NULL;
static MAYBE volatile int minus_one = -1;

/* --- time --- */
static MAYBE int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static MAYBE void nap_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000l};
    syscall(SYS_nanosleep, &t, NULL);
}

#include "sockets.h"

/* --- threads --- */
struct worker {
    pthread_t thread;
    _Atomic int tid;
    void (*body)(void *);
    void *arg;
};

static MAYBE void *worker_main(void *arg)
{
    struct worker *w = arg;
    w->tid = (int)syscall(SYS_gettid);
    w->body(w->arg);
    return NULL;
}

static MAYBE void begin_with(struct worker *w, void (*body)(void *), void *arg, size_t stack)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (stack)
        MUST(-pthread_attr_setstacksize(&attributes, stack));
    w->tid = 0;
    w->body = body;
    w->arg = arg;
    MUST(-pthread_create(&w->thread, &attributes, worker_main, w));
    pthread_attr_destroy(&attributes);
    while (!w->tid)
        sched_yield();
}

static MAYBE void begin(struct worker *w, void (*body)(void *), void *arg)
{
    begin_with(w, body, arg, 0);
}

static MAYBE void join(struct worker *w)
{
    MUST(-pthread_join(w->thread, NULL));
}

/* Which system call thread `tid` of process `pid` sleeps in; -1: it runs; -2: it is gone. Asked by raw calls. */
static MAYBE int asleep_in(int pid, int tid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -2;
    long n = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (n <= 0)
        return -2;
    text[n] = 0;
    char *state = strrchr(text, ')');
    if (!state || state[2] != 'S')
        return -1;
    snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", pid, tid);
    fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    n = fd < 0 ? 0 : syscall(SYS_read, fd, text, sizeof text - 1);
    if (fd >= 0)
        syscall(SYS_close, fd);
    if (n <= 0)
        return -1;
    text[n] = 0;
    return text[0] == 'r' ? -1 : atoi(text);
}

/* Returns when the thread really waits: asleep in two looks, and not on a lock (a lock counts after two seconds). */
static MAYBE void await_sleep_of(int pid, int tid)
{
    int64_t start = now_ms();
    for (int seen = 0; seen < 2;) {
        int call = asleep_in(pid, tid);
        seen = call >= 0 && (call != SYS_futex || now_ms() - start > 2000) ? seen + 1 : 0;
        if (call == -2 || now_ms() - start > 10000) {
            say("BROKEN: the thread never slept");
            return;
        }
        nap_ms(1);
    }
}
#define await_sleep(tid) await_sleep_of(getpid(), tid)

/* --- processes --- */
static MAYBE void reap(int pid)
{
    int status;
    MUST(waitpid(pid, &status, 0));
    if (WIFEXITED(status))
        say("child exited %d", WEXITSTATUS(status));
    else
        say("child killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
}

/* --- signals --- */
static MAYBE void handle(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    MUST(sigaction(signal, &action, NULL));
}

/* Tells the harness whether a host lives in this process, so that no run under a libOS passes on the kernel unseen. */
static MAYBE void note_host(void)
{
    const char *path = getenv("FLAP_NOTE");
    FILE *maps = path ? fopen("/proc/self/maps", "r") : NULL;
    if (!maps)
        return;
    char line[4096];
    bool host = false;
    while (fgets(line, sizeof line, maps))
        host |= strstr(line, "libcatflap_host") != NULL;
    fclose(maps);
    FILE *note = fopen(path, "a");
    if (note) {
        fprintf(note, "host %d\n", host);
        fclose(note);
    }
}

#ifndef OWN_MAIN
int main(int argc, char **argv)
{
    scenario_argc = argc;
    scenario_argv = argv;
    for (struct scenario *s = scenarios; s && argc > 1; s = s->next)
        if (strcmp(s->name, argv[1]) == 0) {
            s->run();
            say("end");
            note_host();
            return 0;
        }
    fprintf(stderr, "no such scenario\n");
    return 2;
}
#endif

#endif
