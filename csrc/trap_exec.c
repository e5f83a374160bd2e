/* New images. Connections that one inherits go back to the kernel first, and an environment that has been scrubbed gets the
 * preload again: of a program's children it is those that serve that are started with a clean one. */
#include "trap.h"

#include <alloca.h>

enum { KEPT = 32 };
/* What the process began with, copied, for programs write over their environment (setproctitle(3)). */
static char *kept[KEPT + 1];

#define OURS(entry) (strncmp(entry, "LD_PRELOAD=", 11) == 0 || strncmp(entry, "CATFLAP_", 8) == 0)

__attribute__((constructor(103))) static void keep(void)
{
    for (size_t i = 0, n = 0; getenv("LD_PRELOAD") && environ[i] && n < KEPT; i++)
        if (OURS(environ[i]))
            kept[n++] = strdup(environ[i]);
}

/* `env`, or in `room` its entries and ours. With any of ours left it is not scrubbed but chosen: no preload is one way to
 * start a program without us. */
static char *const *carried(char *const env[], char **room)
{
    size_t n = 0;
    for (; room && env && env[n]; n++)
        if (unmapped(room[n] = env[n]) || OURS(env[n]))
            return env;
    return room ? memcpy(room + n, kept, sizeof kept), room : env;
}

static size_t room_for(char *const env[])
{
    size_t n = 0;
    while (env && env[n])
        n++;
    return (n + KEPT + 1) * sizeof *env;
}
#define CARRIED(env) carried(env, kept[0] && (!env || !unmapped(env)) ? alloca(room_for(env)) : NULL)

/* Descriptors that a new image will have. */
static void inherited_go_plain(void)
{
    if (likely(!ops.sets && !young_ever))
        return;
    for (unsigned fd = 0; descriptor_next(&fd, ~0u, false); fd++)
        if (!(next.fcntl((int)fd, F_GETFD) & FD_CLOEXEC))
            go_plain((int)fd);
}

#define NEW_IMAGE(name, params, call)                                                                                  \
    EXPORT int name params                                                                                             \
    {                                                                                                                  \
        inherited_go_plain();                                                                                          \
        return next.call;                                                                                              \
    }

NEW_IMAGE(execve, (const char *path, char *const argv[], char *const envp[]), execve(path, argv, CARRIED(envp)))
NEW_IMAGE(execv, (const char *path, char *const argv[]), execve(path, argv, CARRIED(environ)))
NEW_IMAGE(execvp, (const char *file, char *const argv[]), execvpe(file, argv, CARRIED(environ)))
NEW_IMAGE(execvpe, (const char *file, char *const argv[], char *const envp[]), execvpe(file, argv, CARRIED(envp)))
NEW_IMAGE(fexecve, (int fd, char *const argv[], char *const envp[]), fexecve(fd, argv, CARRIED(envp)))
NEW_IMAGE(execveat, (int dir, const char *path, char *const argv[], char *const envp[], int flags), execveat(dir, path, argv, CARRIED(envp), flags))
NEW_IMAGE(posix_spawn, (pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr, char *const argv[], char *const envp[]), posix_spawn(pid, path, actions, attr, argv, CARRIED(envp)))
NEW_IMAGE(posix_spawnp, (pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr, char *const argv[], char *const envp[]), posix_spawnp(pid, file, actions, attr, argv, CARRIED(envp)))

/* The list forms as the vector forms: libc's own make them by calls that nobody can see. */
#define LISTED(name, environment, call)                                                                                \
    EXPORT int name(const char *path, const char *first, ...)                                                          \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        size_t n = 1;                                                                                                  \
        for (va_start(ap, first); va_arg(ap, char *); n++)                                                             \
            ;                                                                                                          \
        va_end(ap);                                                                                                    \
        va_start(ap, first);                                                                                           \
        char **argv = alloca((n + 1) * sizeof *argv);                                                                  \
        argv[0] = (char *)first;                                                                                       \
        for (size_t i = 1; i <= n; i++)                                                                                \
            argv[i] = va_arg(ap, char *);                                                                              \
        char *const *envp = environment;                                                                               \
        int r = call;                                                                                                  \
        va_end(ap);                                                                                                    \
        return r;                                                                                                      \
    }

LISTED(execl, environ, execve(path, argv, envp))
LISTED(execlp, environ, execvpe(path, argv, envp))
LISTED(execle, va_arg(ap, char *const *), execve(path, argv, envp))
