/* The native half of the host library: starts or shares the interpreter, keeps thread states, goes through fork.
 * Compiled by interpose/build.py into the cffi module; CATFLAP_PYTHON_PATHS comes from there. */
#include "abi.h"
#include "python.h"

static const struct catflap_services *services;

static int services_bind(int fd, uintptr_t description, int reason) { return services->bind(fd, (void *)description, reason); }
static void services_grace_begin(void) { services->grace_begin(); }
static int services_grace_passed(void) { return services->grace_passed(); }
static void services_die(void) { services->die(); }
static void services_log(const char *line) { services->log(line); }
static void services_own_thread(void) { services->own_thread(); }

static struct catflap_ops *ops_table;

/* A program that is a Python may be anywhere when it calls us: followed by a debugger, deep in a recursion, in a subinterpreter
 * with the GIL. Ours begins in the main interpreter as if it were the first, and leaves everything as it was. */
struct visit { PyThreadState *theirs, *ours; PyGILState_STATE gil; };

enum { ROOM = 1000 }; /* calls */
static int shared, debugged; /* debugged: its tracer is to see us */

static struct visit visit_begin(void)
{
    PyThreadState *now = holder(), *usual = PyGILState_GetThisThreadState();
    struct visit v = {now && usual && now != usual ? PyThreadState_Swap(usual) : NULL, NULL, PyGILState_Ensure()};
    v.ours = PyThreadState_Get();
    v.ours->CATFLAP_CALLS_LEFT += ROOM;
    if (!debugged) PyThreadState_EnterTracing(v.ours);
    return v;
}

static void visit_end(struct visit v)
{
    if (!debugged) PyThreadState_LeaveTracing(v.ours);
    v.ours->CATFLAP_CALLS_LEFT -= ROOM;
    PyGILState_Release(v.gil);
    if (v.theirs)
        PyThreadState_Swap(v.theirs);
}

static int in_main(struct visit v) { return PyThreadState_GetInterpreter(v.ours) == PyInterpreterState_Main(); }

/* cffi serves the main interpreter only, so threads that know another one alone are the kernel's where ours is interpreted. */
#define REFUSED(name) (strcmp(name, "adopt") == 0 ? CATFLAP_KERNEL_OTHER_PYTHON : CATFLAP_STALE)
typedef int64_t (*op_t)(int64_t, int64_t, int64_t, int64_t, int64_t);
#define VISIT(op, gil)                                                                                                 \
    static op_t real_##op = (op_t)(void *)py_##op;                                                                     \
    static int64_t visit_##op(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e)                                   \
    {                                                                                                                  \
        struct visit v = visit_begin();                                                                                \
        int refuse =  real_##op == (op_t)(void *)py_##op && !in_main(v);                                               \
        int64_t r = refuse ? REFUSED(#op) : real_##op(a, b, c, d, e);                                                  \
        visit_end(v);                                                                                                  \
        return r;                                                                                                      \
    }
FOR_EACH_OP(VISIT)

static void set_native(const char *name, uintptr_t address)
{
#define NATIVE(op, gil)                                                                                                \
    if (strcmp(name, #op) == 0)                                                                                        \
        *(shared && gil ? (uintptr_t *)&real_##op : (uintptr_t *)&ops_table->op) = address;
    FOR_EACH_OP(NATIVE)
}

/* The error that Python holds, as one log line; never to stderr. */
static void log_python_error(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *line = PyUnicode_FromFormat("catflap: starting Python: %S\n", value ? value : type);
    services->log(line ? PyUnicode_AsUTF8(line) : "catflap: starting Python: unknown error\n");
    Py_XDECREF(line);
    PyErr_Restore(type, value, trace);
    PyErr_Clear();
}

/* Our packages and cffi's back end into the interpreter; a program's own looks afterwards as before (interpose/sharing.py). */
static int import_ours(const char *root)
{
    int64_t reason = CATFLAP_KERNEL_BOOT_FAILED;
    PyObject *room = PyDict_New(), *before = NULL;
    PyObject *done = shared ? PyRun_String(CATFLAP_SHARING, Py_file_input, room, room) : Py_NewRef(Py_None);
    if (done && shared)
        before = PyObject_CallFunction(PyDict_GetItemString(room, "begin"), "N", PyUnicode_DecodeFSDefault(root));
    PyObject *back_end = done && (before || !shared) ? PyImport_ImportModule("_cffi_backend") : NULL;
    if (back_end) {
        /* before 3.12 cffi's own lock is this type's version tag, which has to be 0: nobody else runs Python meanwhile */
        PyType_Modified(&PyCapsule_Type);
        if (!cffi_start_python())
            reason = catflap_boot(shared);
    } else {
        log_python_error();
    }
    PyObject *after = before ? PyObject_CallFunction(PyDict_GetItemString(room, "end"), "(O)", before) : NULL;
    if (before && !after)
        log_python_error();
    Py_XDECREF(after), Py_XDECREF(before), Py_XDECREF(back_end), Py_XDECREF(done), Py_XDECREF(room);
    return (int)reason;
}

__attribute__((visibility("default"))) int catflap_host_start(struct catflap_ops *ops,
                                                              const struct catflap_services *given, const char *root)
{
    services = given, ops_table = ops;
    if (given->abi != CATFLAP_ABI)
        return CATFLAP_KERNEL_NO_HOST;
    shared = Py_IsInitialized();
    const char *hook = getenv("CATFLAP_HOOK"), *debug = getenv("CATFLAP_DEBUG");
    debugged = (hook && *hook) || (debug && *debug);
#define FILL(op, gil) ops->op = shared ? (void *)visit_##op : (void *)py_##op;
    FOR_EACH_OP(FILL)
    ops->guarded = 1;
    const char *wrong = shared ? NULL : python_start(root);
    if (wrong) {
        services->log("catflap: Py_InitializeFromConfig failed: ");
        services->log(wrong);
        services->log("\n");
        return CATFLAP_KERNEL_BOOT_FAILED;
    }
    struct visit v = visit_begin();
    int reason = CATFLAP_KERNEL_OTHER_PYTHON;
    if (in_main(v)) {
        int collecting = PyGC_Disable(); /* nothing dies during the boot; collections would look at all of it */
        reason = import_ours(root);
        if (collecting)
            PyGC_Enable();
    }
    visit_end(v);
    return reason;
}

/* One thread state for life: made here, found again by every PyGILState_Ensure, gone with the thread. */
__attribute__((visibility("default"))) int catflap_host_thread(void)
{
    if (PyGILState_GetThisThreadState())
        return 0;
    PyGILState_Ensure();
    PyEval_SaveThread();
    return 1;
}

__attribute__((visibility("default"))) void catflap_host_thread_end(void)
{
    PyThreadState *state = PyGILState_GetThisThreadState();
    if (!state)
        return;
    PyEval_RestoreThread(state);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
}

static PyGILState_STATE fork_state;

__attribute__((visibility("default"))) int64_t catflap_host_fork_before(void)
{
    if (holder()) /* the program's own os.fork(): it has prepared its interpreter itself */
        return 0;
    fork_state = PyGILState_Ensure();
    PyOS_BeforeFork();
    return 1;
}

__attribute__((visibility("default"))) void catflap_host_fork_after(int child)
{
    (child ? PyOS_AfterFork_Child : PyOS_AfterFork_Parent)();
    PyGILState_Release(fork_state);
}
