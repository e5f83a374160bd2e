/* One step of a coroutine by the slot call of PEP 525's successors (PyIter_Send), without a method look-up. */
#ifndef CATFLAP_RESUME_H
#define CATFLAP_RESUME_H

#include <Python.h>

/* What the coroutine yielded; Ellipsis when it has ended; NULL with an exception set when it failed. */
static inline PyObject *resume_send(PyObject *coroutine)
{
    PyObject *yielded = NULL;
    switch (PyIter_Send(coroutine, Py_None, &yielded)) {
    case PYGEN_NEXT:
        return yielded;
    case PYGEN_RETURN:
        Py_XDECREF(yielded);
        return Py_NewRef(Py_Ellipsis);
    default:
        return NULL;
    }
}

#endif
