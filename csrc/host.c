/* The native half of the host library: starts or shares the interpreter, keeps thread states, goes through fork.
 * Compiled by interpose/build.py into the cffi module; CATFLAP_PYTHON_PATHS comes from there. */
#include "abi.h"

static const struct catflap_services *services;

static int services_bind(int fd, uintptr_t description, int reason) { return services->bind(fd, (void *)description, reason); }
static uintptr_t services_lookup(int fd) { return (uintptr_t)services->lookup(fd); }
static void services_grace_begin(void) { services->grace_begin(); }
static int services_grace_passed(void) { return services->grace_passed(); }
static void services_die(void) { services->die(); }
static void services_log(const char *line) { services->log(line); }

static struct catflap_ops *ops_table;
static uintptr_t forks_address(void) { return (uintptr_t)&ops_table->forks; }

static void set_native(const char *name, uintptr_t address)
{
#define NATIVE(op)                                                                                                     \
    if (strcmp(name, #op) == 0)                                                                                        \
        *(uintptr_t *)&ops_table->op = address;
    FOR_EACH_OP(NATIVE)
#undef NATIVE
}

static void set_sets(int yes) { ops_table->sets = yes; }
static void set_guarded(int yes) { ops_table->guarded = yes; }

/* The error that Python holds, as one log line; never to stderr. */
static void log_python_error(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *text = value ? PyObject_Str(value) : NULL;
    services->log("catflap: starting Python: ");
    services->log(text ? PyUnicode_AsUTF8(text) : "unknown error");
    services->log("\n");
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    PyErr_Clear();
}

static int start_interpreter(const char *root)
{
    static const wchar_t *const paths[] = {CATFLAP_PYTHON_PATHS};
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.install_signal_handlers = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
    config.module_search_paths_set = 1;
    wchar_t *wide = Py_DecodeLocale(root, NULL);
    PyStatus status = PyWideStringList_Append(&config.module_search_paths, wide ? wide : L"/");
    for (size_t i = 0; i < sizeof paths / sizeof *paths && !PyStatus_Exception(status); i++)
        status = PyWideStringList_Append(&config.module_search_paths, paths[i]);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(&config, &config.prefix, CATFLAP_PYTHON_PREFIX);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(&config, &config.exec_prefix, CATFLAP_PYTHON_PREFIX);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(&config, &config.executable, CATFLAP_PYTHON_EXECUTABLE);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyMem_RawFree(wide);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        services->log("catflap: Py_InitializeFromConfig: ");
        services->log(status.err_msg ? status.err_msg : "failed");
        services->log("\n");
        return -1;
    }
    /* this interpreter has no business on the program's terminal, whatever goes wrong in it */
    PySys_SetObject("stdout", Py_None);
    PySys_SetObject("stderr", Py_None);
    PyEval_SaveThread();
    return 0;
}

/* Our packages and cffi's back end into a program's own interpreter, and its sys.path left as it was. */
static int import_shared(const char *root, int shared)
{
    static const wchar_t *const paths[] = {CATFLAP_PYTHON_PATHS};
    PyObject *path = PySys_GetObject("path");
    PyObject *before = shared && path ? PyList_GetSlice(path, 0, PyList_Size(path)) : NULL;
    if (before) {
        PyObject *entry = PyUnicode_DecodeFSDefault(root);
        PyList_Insert(path, 0, entry);
        Py_XDECREF(entry);
        for (size_t i = 2; i < sizeof paths / sizeof *paths; i++) { /* after the standard library's two */
            entry = PyUnicode_FromWideChar(paths[i], -1);
            PyList_Append(path, entry);
            Py_XDECREF(entry);
        }
    }
    int64_t reason = CATFLAP_KERNEL_BOOT_FAILED;
    PyObject *back_end = PyImport_ImportModule("_cffi_backend");
    if (back_end) {
        /* before 3.12 cffi's own lock is this type's version tag, which has to be 0: nobody else runs Python meanwhile */
        PyType_Modified(&PyCapsule_Type);
        if (!cffi_start_python())
            reason = catflap_boot(shared);
    } else {
        log_python_error();
    }
    Py_XDECREF(back_end);
    if (before)
        PyList_SetSlice(path, 0, PyList_Size(path), before);
    Py_XDECREF(before);
    return (int)reason;
}

__attribute__((visibility("default"))) int catflap_host_start(struct catflap_ops *ops,
                                                              const struct catflap_services *given, const char *root)
{
    services = given;
    ops_table = ops;
    if (given->abi != CATFLAP_ABI)
        return CATFLAP_KERNEL_NO_HOST;
#define FILL(op) ops->op = py_##op;
    FOR_EACH_OP(FILL)
#undef FILL
    ops->guarded = 1;
    int shared = Py_IsInitialized();
    if (!shared && start_interpreter(root))
        return CATFLAP_KERNEL_BOOT_FAILED;
    PyGILState_STATE state = PyGILState_Ensure();
    int collecting = PyGC_Disable(); /* nothing dies during the boot; collections would look at all of it */
    int reason = import_shared(root, shared);
    if (collecting)
        PyGC_Enable();
    PyGILState_Release(state);
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

__attribute__((visibility("default"))) int catflap_host_fork_before(void)
{
    if (PyGILState_Check()) /* the program's own os.fork(): it has prepared its interpreter itself */
        return 0;
    PyGILState_STATE state = PyGILState_Ensure();
    fork_state = state;
    PyOS_BeforeFork();
    return 1;
}

__attribute__((visibility("default"))) void catflap_host_fork_after(int child)
{
    PyGILState_STATE state = fork_state;
    if (child)
        PyOS_AfterFork_Child();
    else
        PyOS_AfterFork_Parent();
    PyGILState_Release(state);
}
