"""The end of the process (atexit(3)): a function of one pointer is called. Interpreted code hears of it where its
interpreter is ours alone, which nobody finalises; a program's own is not there any longer.
"""

import ctypes


class Here:
    def __init__(self):
        self.alone = False  # with this interpreter
        self.kept = []  # what the C library has been given


HERE = Here()


def call(function):
    """Call a function at the end of the process."""
    if HERE.alone:
        HERE.kept.append(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(function))
        ctypes.CDLL(None).__cxa_atexit(HERE.kept[-1], None, None)
