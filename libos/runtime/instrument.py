"""Instrument hooks: Python callables on the data path, free when off.

A hook gets (qd, view): the queue descriptor and a memoryview of the bytes, writable when they were just popped,
read-only when they are about to be pushed (they are the program's own, perhaps a constant).
Bytes that are only peeked at (MSG_PEEK) are shown each time. The data path tests one flag; only with a hook installed
does it take the GIL. An exception in a hook goes to `on_error` and never further.
"""

COMPILED = __file__.endswith(".so")
installed = {}


def forget(name, error):
    """What happens to a hook's exception until somebody sets `on_error`."""


on_error = forget


class Hooks:
    """One flag a hook."""

    def __init__(self):
        self.pop = False
        self.push = False


HOOKS = Hooks()


def install(name, hook):
    """Call `hook(qd, view)` at every `name`: "pop" or "push". Replaces an earlier one. "device": `hook(device)` gives
    what the program's network is to have in place of its device (libos/devices/wrapper.py), once, when it is opened.
    """
    if name not in ("pop", "push", "device"):
        raise ValueError(f"no such hook: {name!r}; there are pop, push and device")
    installed[name] = hook
    if name != "device":
        setattr(HOOKS, name, True)


def remove(name):
    """Take a hook away; harmless when there is none."""
    if installed.pop(name, None) is not None and name != "device":
        setattr(HOOKS, name, False)


def device(plain):
    """What the network is to have in place of a device."""
    try:
        return installed["device"](plain) if "device" in installed else plain
    except BaseException as error:
        on_error("device", error)
        return plain


def show(name, qd, address, count):
    """Run one hook over `count` bytes at `address`."""
    try:
        import ctypes

        view = memoryview((ctypes.c_char * count).from_address(address)).cast("B")
        installed[name](qd, view if name == "pop" else view.toreadonly())
    except BaseException as error:
        on_error(name, error)


def popped(qd, address, count):
    """`count` bytes were popped to `address`; returns `count`."""
    show("pop", qd, address, count)
    return count


def pushed(qd, address, count):
    """`count` bytes at `address` are about to be pushed."""
    show("push", qd, address, count)
