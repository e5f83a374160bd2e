/* A private interpreter in a process that has none: isolated, without signal handlers, site and the program's own folders. The
 * places of this build's Python are CATFLAP_PYTHON_* (interpose/build.py). */
#pragma once

#include <Python.h>

/* The thread state with which this thread has the GIL, or NULL. */
static PyThreadState *holder(void)
{
    PyThreadState *state = _PyThreadState_UncheckedGet();
    return state && state->thread_id == PyThread_get_thread_ident() ? state : NULL;
}

/* NULL, or what went wrong. `root` is where our packages are. Leaves the calling thread without the GIL. */
static const char *python_start(const char *root)
{
    static const wchar_t *const paths[] = {CATFLAP_PYTHON_PATHS};
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = config.write_bytecode = 0;
    config.module_search_paths_set = 1;
    wchar_t *wide = Py_DecodeLocale(root, NULL);
    PyStatus status = PyWideStringList_Append(&config.module_search_paths, wide ? wide : L"/");
    for (size_t i = 0; i < sizeof paths / sizeof *paths && !PyStatus_Exception(status); i++)
        status = PyWideStringList_Append(&config.module_search_paths, paths[i]);
#define THEN(call)                                                                                                     \
    if (!PyStatus_Exception(status))                                                                                   \
        status = call;
    THEN(PyConfig_SetString(&config, &config.prefix, CATFLAP_PYTHON_PREFIX))
    THEN(PyConfig_SetString(&config, &config.exec_prefix, CATFLAP_PYTHON_PREFIX))
    THEN(PyConfig_SetString(&config, &config.executable, CATFLAP_PYTHON_EXECUTABLE))
    THEN(Py_InitializeFromConfig(&config))
    PyMem_RawFree(wide);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        return status.err_msg ? status.err_msg : "?";
    /* this interpreter has no business on the program's terminal, whatever goes wrong in it */
    PySys_SetObject("stdout", Py_None);
    PySys_SetObject("stderr", Py_None);
    PyEval_SaveThread();
    return NULL;
}
