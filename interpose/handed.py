"""Exceptions that are the program's own.

In a program that is a Python, sharing its interpreter with us, a signal handler of the program may run at the first
bytecode of ours and raise there. Such an exception is handed back: it is raised again where the program's next check
for signals comes (the EINTR check of its socket and select calls, or its next bytecode).
"""

import _signal
import _thread
import os
from functools import partial

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/"
OURS = (ROOT + "interpose/", ROOT + "libos/", "interpose/", "libos/")  # compiled code knows relative names only


def foreign(error):
    """Whether `error` was raised by code that isn't ours."""
    if isinstance(error, KeyboardInterrupt):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and not trace.tb_frame.f_code.co_filename.startswith(OURS)


def hand_back(error):
    """Raise `error` in the program, by way of a signal that it will find pending; only ever in the main thread."""
    number = _signal.SIGRTMAX
    before = _signal.getsignal(number)

    def again(*_):
        _signal.signal(number, before if before is not None else _signal.SIG_DFL)
        raise error

    _signal.signal(number, again)
    # A call instruction is followed by a check for signals, which would find this one while we are still inside.
    # Unpacking an iterator is not, and this iterator makes the call.
    [*iter(partial(_thread.interrupt_main, number), None)]
