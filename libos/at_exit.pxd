cdef extern from * nogil:
    """
    int __cxa_atexit(void (*function)(void *), void *argument, void *library);
    #define CATFLAP_AT_EXIT(function) __cxa_atexit(function, NULL, NULL)
    """
    int call "CATFLAP_AT_EXIT" (...) noexcept
