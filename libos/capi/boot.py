"""What demi_init does in Python: choose the libOS, make it, and say where its calls are."""

import atexit
import os
from functools import partial

from libos import calls, config, raw
from libos.capi import arrays, face, names, process, results, storing, submitting
from libos.core import forking, layout
from libos.errors import Fail

NAMES = ("catnap", "catloop", "catmint")
VOLUME, SHARED = "--cattree=", "--cattree-shared="
AT_THE_END = []  # what is to be said then


def chosen(arguments, asked):
    """The libOS by name: the first `--name` of the arguments that is one, else $LIBOS, `asked`, else catnap."""
    for word in arguments:
        if word.startswith("--") and word[2:] in NAMES:
            return word[2:]
    return asked or NAMES[0]


def volume_of(arguments):
    """(the file or block device of the logs, or None; whether others share it): what stands behind `--cattree=` or
    `--cattree-shared=`, whichever comes first, else $CATTREE, else $CATTREE_SHARED.
    """
    for word in arguments:
        for begins in (VOLUME, SHARED):
            if word.startswith(begins):
                return word.removeprefix(begins), begins is SHARED
    path = os.environ.get("CATTREE")
    return path or os.environ.get("CATTREE_SHARED"), not path


def start(arguments, asked):
    """{call: address}, or an errno. EINVAL: no libOS of that name; the volume's own."""
    name = chosen(arguments, asked)
    if name not in NAMES:
        return calls.EINVAL
    settings = config.load(os.environ)
    table = process.table()
    r = table.open()
    if r < 0:
        return -r
    raw.store(table.head + layout.SPIN, settings.spin * 1000)
    # first of all, so that the lock is taken last before a fork, and everything else comes after it in the child
    hooks = {"before": forking.before, "after_in_parent": forking.in_parent, "after_in_child": forking.in_child}
    os.register_at_fork(**{when: partial(hook, table) for when, hook in hooks.items()})
    if name == "catloop":
        from libos.catloop import Catloop
        from libos.core.loops import Loops

        Loops(table, Catloop(settings.worth)).start()
    path, shared = volume_of(arguments)
    if path:
        from libos.core.log_lines import error_of

        try:
            stores_of(table, path, shared)
        except Fail as error:
            os.write(2, os.fsencode(f"demi_init: {path}: {error}\n"))
            return error.number() or -error_of(error.kind.name)
    if name == "catmint":
        from libos.mint_face import MintFace

        mint = MintFace(table, os.environ.get("CATFLAP_PROVIDER", "shm"), os.environ.get("CATFLAP_NODE", ""))
        mint.survive_forks()
        AT_THE_END.append(mint.shut)
    if AT_THE_END:
        atexit.register(leave)  # where the interpreter is the program's
    return face.native() or interpreted()


def stores_of(table, path, shared):
    """Have a volume. Raises Fail."""
    if shared:
        from libos.shared_stores import SharedStores

        stores = SharedStores(table, path)
        AT_THE_END.append(stores.shut)
    else:
        from libos.core.stores import Stores

        stores = Stores(table, path)
    os.register_at_fork(after_in_child=stores.forked)


def leave():
    """The process ends."""
    while AT_THE_END:
        AT_THE_END.pop()()


KEPT = {}


def interpreted():
    """Functions of Python as pointers of C, by ctypes: each call takes the GIL."""
    import ctypes

    word, short, wide = ctypes.c_size_t, ctypes.c_int, ctypes.c_int64
    shapes = {
        "queue": (word, short),
        "socket": (word, short, short, short),
        "bind": (short, word, ctypes.c_uint),
        "listen": (short, short),
        "accept": (word, short),
        "connect": (word, short, word, ctypes.c_uint),
        "close": (short,),
        "push": (word, short, word),
        "pushto": (word, short, word, word, ctypes.c_uint),
        "pop": (word, short),
        "getpeername": (short, word, word),
        "getsockname": (short, word, word),
        "getsockopt": (short, short, short, word, word),
        "setsockopt": (short, short, short, word, ctypes.c_uint),
        "sgafree": (word,),
        "open": (word, word, short),
        "unlink": (word,),
        "rename": (word, word),
        "names": (word, word, word, word),
        "lseek": (short, wide, short, word),
        "bounds": (short, word, word),
        "truncate": (short, wide),
        "ftruncate": (short, wide),
        "pread": (word, short, word, wide),
        "wait": (word, word, word),
        "wait_any": (word, word, word, short, word),
        "wait_next_n": (word, short, word, word),
    }
    for name, shape in shapes.items():
        rooms = (names, submitting, storing, arrays, results)
        room = next(room for room in rooms if callable(vars(room).get(name)))
        KEPT[name] = ctypes.CFUNCTYPE(short, *shape)(getattr(room, name))
    KEPT["sgaalloc"] = ctypes.CFUNCTYPE(None, word, word)(arrays.sgaalloc)
    KEPT["count"] = ctypes.CFUNCTYPE(ctypes.c_uint64, short)(process.count)
    return {name: ctypes.cast(function, ctypes.c_void_p).value for name, function in KEPT.items()}
