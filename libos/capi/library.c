/* libdemikernel.so: the calls of include/demi, each a jump to a function of libos/capi/face.py. What only C can do is here:
 * exported symbols, and the way to the interpreter that the libOS comes from (demi_init), which is in a library of its own
 * (interpreter.c): where another Python lives, ours must not even be mapped. */
#define _GNU_SOURCE
#define ATTR_NONNULL(...) /* a program may not keep to it, and hears of it */
#include "before_python.h"
#include "interpreter.h"

#include <demi/catflap.h>
#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/storage.h>
#include <demi/wait.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))
#define SIZED(type, size) _Static_assert(sizeof(type) == (size), #type)
SIZED(demi_sgaseg_t, 12);
SIZED(demi_sgarray_t, 40 + 12 * DEMI_SGARRAY_MAXSIZE);
SIZED(demi_accept_result_t, 32);
SIZED(demi_qresult_t, 24 + sizeof(demi_sgarray_t));
SIZED(struct demi_args, 20);

/* name, parameters, arguments: of all that answer with an errno */
#define FOR_EACH_CALL(X)                                                                                               \
    X(queue, (int *qd_out, int capacity), (qd_out, capacity))                                                          \
    X(socket, (int *qd_out, int domain, int type, int protocol), (qd_out, domain, type, protocol))                     \
    X(bind, (int qd, const struct sockaddr *address, socklen_t size), (qd, address, size))                             \
    X(listen, (int qd, int backlog), (qd, backlog))                                                                    \
    X(accept, (demi_qtoken_t *qt_out, int qd), (qt_out, qd))                                                           \
    X(connect, (demi_qtoken_t *qt_out, int qd, const struct sockaddr *address, socklen_t size),                        \
      (qt_out, qd, address, size))                                                                                     \
    X(close, (int qd), (qd))                                                                                           \
    X(push, (demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga), (qt_out, qd, sga))                             \
    X(pushto,                                                                                                          \
      (demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga, const struct sockaddr *address, socklen_t size),      \
      (qt_out, qd, sga, address, size))                                                                                \
    X(pop, (demi_qtoken_t *qt_out, int qd), (qt_out, qd))                                                              \
    X(getpeername, (int qd, struct sockaddr *address, socklen_t *size), (qd, address, size))                           \
    X(getsockname, (int qd, struct sockaddr *address, socklen_t *size), (qd, address, size))                           \
    X(getsockopt, (int qd, int level, int name, void *value, socklen_t *size), (qd, level, name, value, size))         \
    X(setsockopt, (int qd, int level, int name, const void *value, socklen_t size), (qd, level, name, value, size))    \
    X(open, (int *qd_out, const char *name, int flags), (qd_out, name, flags))                                         \
    X(unlink, (const char *name), (name))                                                                              \
    X(rename, (const char *from, const char *to), (from, to))                                                          \
    X(names, (const char *prefix, char *names, size_t room, size_t *size_out), (prefix, names, room, size_out))         \
    X(lseek, (int qd, int64_t offset, int whence, int64_t *offset_out), (qd, offset, whence, offset_out))              \
    X(bounds, (int qd, int64_t *first_out, int64_t *end_out), (qd, first_out, end_out))                                \
    X(truncate, (int qd, int64_t offset), (qd, offset))                                                                \
    X(ftruncate, (int qd, int64_t length), (qd, length))                                                               \
    X(pread, (demi_qtoken_t *qt_out, int qd, size_t size, int64_t offset), (qt_out, qd, size, offset))                 \
    X(sgafree, (demi_sgarray_t *sga), (sga))                                                                           \
    X(wait_any,                                                                                                        \
      (demi_qresult_t *qr_out, int *offset, const demi_qtoken_t qts[], int n, const struct timespec *timeout),         \
      (qr_out, offset, qts, n, timeout))                                                                               \
    X(wait_next_n, (demi_qresult_t qrs_out[], int n, int *n_out, const struct timespec *timeout),                      \
      (qrs_out, n, n_out, timeout))

static int not_yet(void) { return ENOSYS; }
static int no_wait(demi_qresult_t *qr_out, const demi_qtoken_t *qt, const struct timespec *timeout)
{
    (void)qr_out, (void)qt, (void)timeout;
    return ENOSYS;
}
static void no_array(demi_sgarray_t *sga, size_t size) { (void)size, memset(sga, 0, sizeof *sga); }
static uint64_t no_count(int counter) { return (void)counter, 0; }

/* what the calls jump to; until demi_init has come to its end, ENOSYS */
static struct {
#define POINTER(name, parameters, arguments) int(*name) parameters;
    FOR_EACH_CALL(POINTER)
    int (*wait)(demi_qresult_t *, const demi_qtoken_t *, const struct timespec *);
    void (*sgaalloc)(demi_sgarray_t *, size_t);
    uint64_t (*count)(int);
} face = {
#define NOT_YET(name, parameters, arguments) .name = (int(*) parameters)(void *)not_yet,
    FOR_EACH_CALL(NOT_YET).wait = no_wait,
    .sgaalloc = no_array,
    .count = no_count,
};

#define CALL(name, parameters, arguments)                                                                              \
    EXPORT int demi_##name parameters { return face.name arguments; }
FOR_EACH_CALL(CALL)

EXPORT int demi_wait(demi_qresult_t *qr_out, demi_qtoken_t qt, const struct timespec *timeout)
{
    return face.wait(qr_out, &qt, timeout);
}

EXPORT demi_sgarray_t demi_sgaalloc(size_t size)
{
    demi_sgarray_t sga;
    face.sgaalloc(&sga, size);
    return sga;
}

EXPORT uint64_t demi_count(enum demi_counter counter) { return face.count((int)counter); }

/* Where a call is, by its name. */
static void take(const char *call, void *address)
{
#define TAKE(name, parameters, arguments)                                                                              \
    if (!strcmp(call, #name))                                                                                          \
        face.name = (int(*) parameters)address;
    FOR_EACH_CALL(TAKE)
    if (!strcmp(call, "wait"))
        face.wait = (int (*)(demi_qresult_t *, const demi_qtoken_t *, const struct timespec *))address;
    if (!strcmp(call, "sgaalloc"))
        face.sgaalloc = (void (*)(demi_sgarray_t *, size_t))address;
    if (!strcmp(call, "count"))
        face.count = (uint64_t(*)(int))address;
}

static struct interpreter python; /* none until it has been loaded */
static enum { COLD, BEGUN, UP, LOST } state;
static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;

/* A fork (pthread_atfork(3)): the interpreter is to be at rest in the child. One that another thread was starting never is. */
static void before_fork(void)
{
    if (state == UP)
        python.fork_before();
}

static void in_parent(void)
{
    if (state == UP)
        python.fork_after(0);
}

static void in_child(void)
{
    if (state == UP)
        python.fork_after(1);
    else if (state == BEGUN)
        state = LOST;
    once = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

__attribute__((constructor)) static void survive_forks(void) { pthread_atfork(before_fork, in_parent, in_child); }

/* Whether a library is libpython of another version than ours, perhaps of a plug-in that shows its symbols to nobody. */
static int is_other(struct dl_phdr_info *info, size_t size, void *found)
{
    const char *name = strrchr(info->dlpi_name, '/'), *ours = strrchr(CATFLAP_PYTHON_LIBRARY, '/') + 1;
    (void)size;
    name = name ? name + 1 : info->dlpi_name;
    int other = !strncmp(name, "libpython", 9) && strncmp(name, ours, strcspn(ours, "s")) && strcmp(name, "libpython3.so");
    return *(int *)found = other;
}

/* The interpreter's library, loaded. NULL, or what is wrong. `root` becomes the folder that our packages lie in. */
static const char *load(char *root)
{
    Dl_info info;
    int found = 0;
    const char *wrong = other_python(CATFLAP_PYTHON_VERSION);
    if (wrong)
        return wrong;
    if (dl_iterate_phdr(is_other, &found))
        return "another Python version lives in this process";
    if (!room_for_host())
        return "too little address space (ulimit -v)";
    if (!dladdr((void *)(uintptr_t)demi_init, &info) || !realpath(info.dli_fname, root))
        return "libdemikernel.so can't find its own path";
    /* extension modules of the standard library expect the interpreter's names to be global */
    if (!dlsym(RTLD_DEFAULT, "Py_GetVersion") && !dlopen(CATFLAP_PYTHON_LIBRARY, RTLD_NOW | RTLD_GLOBAL))
        return dlerror();
    strcpy(strrchr(root, '/'), "/libdemikernel_python.so");
    void *handle = dlopen(root, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return dlerror();
    python = *(struct interpreter *)dlsym(handle, "demi_interpreter");
    for (int i = 0; i < 3; i++) /* libos/capi/libdemikernel_python.so */
        *strrchr(root, '/') = 0;
    return NULL;
}

EXPORT int demi_init(const struct demi_args *args)
{
    char root[PATH_MAX + 32];
    if (!args || args->argc <= 0 || !args->argv)
        return EINVAL;
    pthread_mutex_lock(&once);
    int r = state == UP ? EEXIST : 0;
    if (r == 0) {
        const char *wrong = state == LOST ? "the parent was starting it when it forked" : load(root);
        if (state == COLD)
            state = BEGUN;
        if (!wrong)
            wrong = python.start(root);
        if (wrong)
            fprintf(stderr, "demi_init: starting Python: %s\n", wrong);
        r = wrong ? ENOSYS : python.boot(args->argc, args->argv, root, take);
        if (state == BEGUN)
            state = r ? COLD : UP;
        if (state == UP)
            atexit(python.leave);
    }
    pthread_mutex_unlock(&once);
    return r;
}
