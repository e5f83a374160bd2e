cdef extern from * nogil:
    """
    static inline size_t catflap_gil_let_go(void)
    {
        PyThreadState *state = _PyThreadState_UncheckedGet();
        return state && state->thread_id == PyThread_get_thread_ident() ? (size_t)PyEval_SaveThread() : 0;
    }

    static inline void catflap_gil_take_back(size_t state)
    {
        if (state)
            PyEval_RestoreThread((PyThreadState *)state);
    }
    """
    size_t let_go "catflap_gil_let_go" () noexcept
    void take_back "catflap_gil_take_back" (size_t state) noexcept
