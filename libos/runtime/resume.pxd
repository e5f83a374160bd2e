cdef extern from "libos/runtime/resume.h":
    object send "resume_send" (object coroutine)
