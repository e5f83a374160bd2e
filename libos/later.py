"""Rooms that a program's first socket doesn't need: loaded at their first use, and kept.

A name, once found, is not looked for again: in a program that is a Python, what goes by the name of one of our modules
is the program's own (interpose/sharing.py), so there all of them are loaded before the program goes on.
"""

NAMES = (
    "libos.raw_ctypes",
    "libos.meeting",
    "interpose.attention",
    "interpose.errors",
    "interpose.handed",
    "interpose.options",
    "interpose.sockaddr",
)
ROOMS = {}


def room(name):
    """The module of this full name."""
    found = ROOMS.get(name)
    if found is None:
        found = ROOMS[name] = __import__(name, fromlist=("a submodule",))
    return found


def load_all():
    for name in NAMES:
        room(name)
