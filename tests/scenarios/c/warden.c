/* Runs one program and leaves nothing of it behind: `warden NOTE SECONDS [NAME=VALUE | -NAME ...] -- program arguments`.
 *
 * Orphans of the program come to the warden (child subreaper); when the program has ended, when the time is over, on
 * SIGTERM, or when whoever started the warden dies, everything below it is killed and reaped. Ends as the program did: its
 * exit status, or 128 + signal. NOTE gets one line "orphans N timeout T signal S", and after a timeout where each thread
 * slept. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int children(int pid, int *found, int room)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *e; tasks && (e = readdir(tasks));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", pid, e->d_name);
        FILE *f = fopen(path, "r");
        for (int child; f && n < room && fscanf(f, "%d", &child) == 1;)
            found[n++] = child;
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return n;
}

static void copy_line(FILE *out, const char *label, int pid, const char *task, const char *file)
{
    char path[96], text[256];
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/%s", pid, task, file);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    fprintf(out, "%s=%s ", label, text);
}

static void describe(FILE *out, int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *e; tasks && (e = readdir(tasks));) {
        if (e->d_name[0] == '.')
            continue;
        fprintf(out, "pid %d thread %s ", pid, e->d_name);
        copy_line(out, "name", pid, e->d_name, "comm");
        copy_line(out, "wchan", pid, e->d_name, "wchan");
        copy_line(out, "syscall", pid, e->d_name, "syscall");
        fprintf(out, "\n");
    }
    if (tasks)
        closedir(tasks);
    int found[256], n = children(pid, found, 256);
    for (int i = 0; i < n; i++)
        describe(out, found[i]);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 125;
    const char *note = argv[1];
    double deadline = now() + atof(argv[2]);
    int parent = getppid(), at = 3;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t watched, old;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigprocmask(SIG_BLOCK, &watched, &old);
    int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    int program = fork();
    if (program < 0)
        return 125;
    if (program == 0) {
        prctl(PR_SET_PDEATHSIG, 0);
        setpgid(0, 0);
        close(signals);
        sigprocmask(SIG_SETMASK, &old, NULL);
        for (; at < argc && strcmp(argv[at], "--") != 0; at++)
            if (argv[at][0] == '-')
                unsetenv(argv[at] + 1);
            else
                putenv(argv[at]);
        execvp(argv[at + 1], argv + at + 1);
        fprintf(stderr, "warden: %s: %s\n", argv[at + 1], strerror(errno));
        _exit(126);
    }
    int status = -1, timeout = 0, told = 0;
    while (status == -1) {
        struct pollfd p = {signals, POLLIN, 0};
        double left = deadline - now();
        int ready = left > 0 ? poll(&p, 1, (int)(left * 1000) + 1) : 0;
        if (ready == 0 && deadline <= now()) {
            timeout = 1;
            break;
        }
        struct signalfd_siginfo info;
        while (read(signals, &info, sizeof info) == sizeof info)
            if (info.ssi_signo != SIGCHLD)
                told = (int)info.ssi_signo;
        if (told || getppid() != parent)
            break;
        /* reap orphans on the way, but remember only the program's own status */
        for (int pid, s; (pid = waitpid(-1, &s, WNOHANG)) > 0;)
            if (pid == program)
                status = s;
    }
    FILE *out = fopen(note, "we");
    int orphans = 0, found[1024];
    if (out && timeout) {
        describe(out, program);
    }
    if (told == SIGTERM && status == -1) {
        /* asked to stop: the program gets the same chance to end by itself */
        kill(program, SIGTERM);
        for (double end = now() + 3; status == -1 && now() < end;) {
            struct pollfd p = {signals, POLLIN, 0};
            poll(&p, 1, 100);
            struct signalfd_siginfo info;
            while (read(signals, &info, sizeof info) == sizeof info)
                ;
            for (int pid, s; (pid = waitpid(-1, &s, WNOHANG)) > 0;)
                if (pid == program)
                    status = s;
        }
    }
    for (;;) {
        int n = children(getpid(), found, 1024), pid, s;
        for (int i = 0; i < n; i++)
            if (kill(found[i], SIGKILL) == 0 && found[i] != program)
                orphans++;
        pid = waitpid(-1, &s, n ? 0 : WNOHANG);
        if (pid < 0)
            break;
        if (pid == program)
            status = s;
        if (pid == 0)
            poll(NULL, 0, 1);
    }
    int died_of = status != -1 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (out) {
        fprintf(out, "orphans %d timeout %d signal %d\n", orphans, timeout, died_of);
        fclose(out);
    }
    if (status == -1)
        return 124;
    return died_of ? 128 + died_of : WEXITSTATUS(status);
}
