"""`catflap run --debug`: stop in pdb inside the stack at the program's first pop.

pdb talks to the terminal itself (/dev/tty), or to the file named by CATFLAP_DEBUG when it is a path, so the program's
own input and output stay its own. `c` goes on to the next pop, `q` leaves the debugger and lets the program run.
"""

import os
import pdb
import sys

from libos.runtime import instrument


class Terminal(pdb.Pdb):
    """pdb on a terminal of its own; quitting it never ends the program."""

    def do_quit(self, argument):
        instrument.remove("pop")
        self.set_continue()
        return True

    do_q = do_exit = do_EOF = do_quit


def attach():
    """Install the stop."""
    where = os.environ.get("CATFLAP_DEBUG", "")
    path = where if where.startswith("/") else "/dev/tty"
    reader, writer = open(path), open(path, "w")
    debugger = Terminal(stdin=reader, stdout=writer, nosigint=True)
    debugger.use_rawinput = False

    def stop(qd, view):
        frame = sys._getframe()
        while frame.f_back and not frame.f_globals.get("__name__", "").startswith("interpose.stream"):
            frame = frame.f_back
        debugger.set_trace(frame)

    instrument.install("pop", stop)
