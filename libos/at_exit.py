"""The end of the process (atexit(3)): a function of one pointer is called. Interpreted code hears of it where its
interpreter is ours alone, which nobody finalises; a program's own is not there any longer.
"""


class Here:
    def __init__(self):
        self.register = None  # tells the C library, for interpreted code


HERE = Here()


def call(function):
    """Call a function at the end of the process."""
    if HERE.register is not None:
        HERE.register(function)
