"""The end of the process (atexit(3)), for compiled code: a function of one pointer is called. Interpreted code hears of
it no more, its interpreter is not there any longer.
"""


def call(function):
    """Call a function at the end of the process."""
