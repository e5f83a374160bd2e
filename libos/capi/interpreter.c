/* libdemikernel_python.so: the interpreter that the libOS of libdemikernel.so comes from. */
#include <patchlevel.h>
#if PY_VERSION_HEX < 0x030C0000
#define Py_BUILD_CORE_MODULE /* for the lock of its thread states */
#endif
#include "python.h"

#include "interpreter.h"
#include <errno.h>
#if PY_VERSION_HEX < 0x030C0000
#include <internal/pycore_runtime.h>
/* A thread that comes to Python or leaves it has this lock without the GIL, and before 3.12 a child waits for it for ever. */
static void hold_states(void) { PyThread_acquire_lock(_PyRuntime.interpreters.mutex, WAIT_LOCK); }
static void release_states(void) { PyThread_release_lock(_PyRuntime.interpreters.mutex); }
#else
static void hold_states(void) {}
static void release_states(void) {}
#endif

static const char *start(const char *root) { return Py_IsInitialized() ? NULL : python_start(root); }

static PyObject *list_of(int argc, char *const argv[])
{
    PyObject *list = PyList_New(0);
    for (int i = 0; i < argc && argv[i]; i++) {
        PyObject *word = PyUnicode_DecodeFSDefault(argv[i]);
        PyList_Append(list, word);
        Py_DECREF(word);
    }
    return list;
}

/* One line for the exception that Python holds. */
static void tell(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *line = PyObject_Str(value ? value : type);
    fprintf(stderr, "demi_init: %s\n", line ? PyUnicode_AsUTF8(line) : "?");
    Py_XDECREF(line), Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(trace);
}

/* libos.capi.boot.start(arguments, LIBOS): a dictionary of addresses, or an errno. */
static int boot(int argc, char *const argv[], const char *root, void (*take)(const char *call, void *address))
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *path = PySys_GetObject("path"), *here = PyUnicode_DecodeFSDefault(root);
    if (path && here && !PySequence_Contains(path, here))
        PyList_Append(path, here);
    PyObject *list = list_of(argc, argv), *module = PyImport_ImportModule("libos.capi.boot");
    PyObject *calls = module ? PyObject_CallMethod(module, "start", "Oz", list, getenv("LIBOS")) : NULL;
    PyObject *name, *address;
    Py_ssize_t at = 0;
    int r = 0;
    if (!calls)
        tell();
    if (!calls || !PyDict_Check(calls))
        r = calls ? (int)PyLong_AsLong(calls) : ENOSYS;
    else
        while (PyDict_Next(calls, &at, &name, &address))
            take(PyUnicode_AsUTF8(name), PyLong_AsVoidPtr(address));
    Py_XDECREF(calls), Py_XDECREF(module), Py_XDECREF(list), Py_XDECREF(here);
    PyGILState_Release(state);
    return r;
}

/* libos.capi.boot.leave(), while there is an interpreter. */
static void leave(void)
{
    if (!Py_IsInitialized())
        return;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *module = PyImport_ImportModule("libos.capi.boot");
    PyObject *done = module ? PyObject_CallMethod(module, "leave", NULL) : NULL;
    if (!done)
        PyErr_Print();
    Py_XDECREF(done), Py_XDECREF(module);
    PyGILState_Release(state);
}

static PyGILState_STATE forking;
static int ours; /* the GIL, during a fork */

static void fork_before(void)
{
    if (!holder()) { /* else who forks has prepared the interpreter: a Python, or the preload */
        forking = PyGILState_Ensure();
        PyOS_BeforeFork();
        ours = 1;
    }
    hold_states();
}

static void fork_after(int child)
{
    release_states();
    if (!ours)
        return;
    ours = 0;
    (child ? PyOS_AfterFork_Child : PyOS_AfterFork_Parent)();
    PyGILState_Release(forking);
}

__attribute__((visibility("default"))) const struct interpreter demi_interpreter = {start, boot, fork_before, fork_after, leave};
