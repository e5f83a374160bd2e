/* libdemikernel.so: the calls of include/demi, each a jump to a function of libos/capi/face.py. What only C can do is here:
 * exported symbols, and the start of the interpreter that the libOS comes from (demi_init). */
#define _GNU_SOURCE
#define ATTR_NONNULL(...) /* a program may not keep to it, and hears of it */
#include "python.h"

#include <demi/catflap.h>
#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define SIZED(type, size) _Static_assert(sizeof(type) == (size), #type)
SIZED(demi_sgaseg_t, 12);
SIZED(demi_sgarray_t, 28 + 12 * DEMI_SGARRAY_MAXSIZE);
SIZED(demi_accept_result_t, 20);
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

static void *pointer(PyObject *calls, const char *name)
{
    PyObject *value = PyDict_GetItemString(calls, name);
    return value ? PyLong_AsVoidPtr(value) : NULL;
}

/* The folder that our packages lie in: two above this library's own. */
static int find_root(char *root, size_t size)
{
    Dl_info info;
    if (!dladdr((void *)(uintptr_t)demi_init, &info) || !realpath(info.dli_fname, root) || strlen(root) >= size)
        return -1;
    for (int i = 0; i < 3; i++)
        *strrchr(root, '/') = 0;
    return 0;
}

/* libos.capi.boot.start(arguments): a dictionary of addresses, or an errno. */
static int start(const struct demi_args *args, const char *root)
{
    PyObject *path = PySys_GetObject("path"), *here = PyUnicode_DecodeFSDefault(root);
    if (path && here && !PySequence_Contains(path, here))
        PyList_Append(path, here);
    PyObject *list = PyList_New(0), *boot = PyImport_ImportModule("libos.capi.boot");
    for (int i = 0; i < args->argc && args->argv[i]; i++) {
        PyObject *word = PyUnicode_DecodeFSDefault(args->argv[i]);
        PyList_Append(list, word);
        Py_DECREF(word);
    }
    PyObject *calls = boot ? PyObject_CallMethod(boot, "start", "Oz", list, getenv("LIBOS")) : NULL;
    int r = EINVAL;
    if (calls && PyDict_Check(calls)) {
#define TAKE(name, parameters, arguments) face.name = (int(*) parameters)pointer(calls, #name);
        FOR_EACH_CALL(TAKE)
        face.sgaalloc = (void (*)(demi_sgarray_t *, size_t))pointer(calls, "sgaalloc");
        face.count = (uint64_t(*)(int))pointer(calls, "count");
        face.wait = (int (*)(demi_qresult_t *, const demi_qtoken_t *, const struct timespec *))pointer(calls, "wait");
        r = 0;
    } else if (calls) {
        r = (int)PyLong_AsLong(calls);
    } else {
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        PyObject *line = PyObject_Str(value ? value : type);
        fprintf(stderr, "demi_init: %s\n", line ? PyUnicode_AsUTF8(line) : "?");
        Py_XDECREF(line), Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(trace);
    }
    Py_XDECREF(calls), Py_XDECREF(boot), Py_XDECREF(list), Py_XDECREF(here);
    return r;
}

EXPORT int demi_init(const struct demi_args *args)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    static int started;
    char root[PATH_MAX];
    if (!args || args->argc <= 0 || !args->argv)
        return EINVAL;
    pthread_mutex_lock(&once);
    int r = started ? EEXIST : find_root(root, sizeof root) ? ENOENT : 0;
    const char *wrong = r || Py_IsInitialized() ? NULL : python_start(root);
    if (wrong) {
        fprintf(stderr, "demi_init: starting Python: %s\n", wrong);
        r = ENOSYS;
    }
    if (r == 0) {
        PyGILState_STATE gil = PyGILState_Ensure();
        r = start(args, root);
        PyGILState_Release(gil);
        started = r == 0;
    }
    pthread_mutex_unlock(&once);
    return r;
}
