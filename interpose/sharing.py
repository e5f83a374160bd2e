"""A program's own interpreter while Catflap's modules come into it. Afterwards it looks as it did before.

What the program has under the names of ours is put aside, and put back when all of ours are there: from then on they
are known to each other only. Standard modules that the program has not imported, has replaced by files of its own or
has patched are loaded for ours alone. Run as text by csrc/host.c, because nothing can be imported yet; FOLDERS is
appended.
"""

import sys
from _frozen_importlib import BuiltinImporter, FrozenImporter
from _frozen_importlib_external import ExtensionFileLoader, FileFinder, SourceFileLoader
from _imp import create_builtin, extension_suffixes
from posix import environ

OURS = ("interpose", "libos", "_catflap_host", "_cffi_backend")
PATCHED = ("_thread", "time")  # by gevent and eventlet, whose locks and sleeps run other code of the program
get_ident = create_builtin(BuiltinImporter.find_spec("_thread")).get_ident
FOLDERS = []  # of the Python that Catflap was built with
LOADERS = ((ExtensionFileLoader, extension_suffixes()), (SourceFileLoader, [".py"]))


def standard_folders():
    """Where this program's standard library is, without what it has done to its sys.path."""
    library = getattr(sys, "_stdlib_dir", None)
    return [library, library + "/lib-dynload"] if library else []


class Finder:
    """In front of all others, for the thread that starts Catflap."""

    def __init__(self, root):
        self.thread = get_ident()
        self.root = root
        self.standard = [*standard_folders(), *FOLDERS]
        self.finders = {}
        self.found = set()

    def find_spec(self, name, path=None, target=None):
        if get_ident() != self.thread:
            return None
        top = name.partition(".")[0]
        spec = None
        if path is None and top not in OURS:
            spec = BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name)
            path = self.standard
        elif path is None:
            path = FOLDERS if top == "_cffi_backend" else [self.root]
        for folder in path:
            spec = spec or self.finder(folder).find_spec(name)
        if spec:
            self.found.add(name)
        return spec

    def finder(self, folder):
        if folder not in self.finders:
            self.finders[folder] = FileFinder(folder, *LOADERS)
        return self.finders[folder]


def replaced(name, module, standard):
    """Whether a program has a file of its own in the place of a standard module."""
    if name.partition(".")[0] not in sys.stdlib_module_names:
        return False
    origin = getattr(getattr(module, "__spec__", None), "origin", None) or getattr(module, "__file__", None)
    return isinstance(origin, str) and "/" in origin and bool(standard) and not origin.startswith(standard)


def named_ours(name):
    return name.partition(".")[0] in OURS


def begin(root):
    """Put aside what is in the way; returns what end() needs."""
    standard = tuple(folder + "/" for folder in standard_folders())
    before = dict(sys.modules)
    aside = {}
    for name, module in before.items():
        if isinstance(name, str) and (named_ours(name) or name in PATCHED or replaced(name, module, standard)):
            aside[name] = sys.modules.pop(name)
    finder = Finder(root)
    finders = list(sys.meta_path)
    sys.meta_path.insert(0, finder)
    return set(before), aside, finder, finders


def end(state):
    """Take ours out of the program's sight again, except where a hook or the debugger may look for them."""
    before, aside, finder, finders = state
    keep = environ.get(b"CATFLAP_HOOK") or environ.get(b"CATFLAP_DEBUG")
    sys.meta_path[:] = [one for one in sys.meta_path if one in finders or (keep and one is not finder)]
    loaded = {name.partition(".")[0] for name in finder.found} | {"_catflap_host", "cython_runtime"}
    loaded -= {"encodings"}  # what is looked up there is known to the whole interpreter
    for name in set(sys.modules) - before:
        mine = name.partition(".")[0] in loaded or name.startswith("_cython_")
        if mine and not (keep and named_ours(name)):
            del sys.modules[name]
    sys.modules.update(aside)
