"""Two modes, one source: compiled where an extension module stands beside the .py, interpreted on request.

`CATFLAP_PURE=1` makes our packages load from their .py files even when compiled ones exist. Standard library only, and
in compiled mode nothing is imported, not even os: this is on the path of a program's first socket.
"""

import sys
from posix import environ

PACKAGES = ("libos", "interpose", "shim")


class SourceFinder:
    """Meta-path finder that offers only the .py files of our packages, so that no stale extension shadows them."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        package, dot, _ = name.partition(".")
        if package not in PACKAGES or not dot or path is None:
            return None
        import os

        leaf = name.rpartition(".")[2]
        for folder in path:
            base = os.path.join(folder, leaf)
            init = os.path.join(base, "__init__.py")
            if os.path.isfile(base + ".py"):
                return source_spec(name, base + ".py", None)
            if os.path.isfile(init):
                return source_spec(name, init, [base])
        return None


def source_spec(name, file, locations):
    """The module spec of one source file; `locations` is the package's folder list, or None for a module."""
    from importlib.machinery import SourceFileLoader
    from importlib.util import spec_from_file_location

    loader = SourceFileLoader(name, file)
    return spec_from_file_location(name, file, loader=loader, submodule_search_locations=locations)


def pure():
    """True when interpreted mode was asked for."""
    return environ.get(b"CATFLAP_PURE", b"") not in (b"", b"0")


def install():
    """Put the finder in front when interpreted mode was asked for; harmless to call twice."""
    if pure() and SourceFinder not in sys.meta_path:
        sys.meta_path.insert(0, SourceFinder)


def compiled(module):
    """True when this loaded module runs as native code."""
    return getattr(module, "__file__", "").endswith(".so")
