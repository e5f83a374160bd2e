"""Two modes, one source: compiled where an extension module stands beside the .py, interpreted on request.

`CATFLAP_PURE=1` makes our packages load from their .py files even when compiled ones exist. Standard library only.
"""

import importlib.machinery
import os
import sys

PACKAGES = ("libos", "interpose", "shim")


class SourceFinder:
    """Meta-path finder that offers only the .py files of our packages, so that no stale extension shadows them."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        package, dot, _ = name.partition(".")
        if package not in PACKAGES or not dot or path is None:
            return None
        leaf = name.rpartition(".")[2]
        for folder in path:
            base = os.path.join(folder, leaf)
            if os.path.isfile(base + ".py"):
                return _spec(name, base + ".py", None)
            init = os.path.join(base, "__init__.py")
            if os.path.isfile(init):
                return _spec(name, init, [base])
        return None


def _spec(name, file, locations):
    from importlib.util import spec_from_file_location

    return spec_from_file_location(
        name,
        file,
        loader=importlib.machinery.SourceFileLoader(name, file),
        submodule_search_locations=locations,
    )


def pure():
    """True when interpreted mode was asked for."""
    return os.environ.get("CATFLAP_PURE", "") not in ("", "0")


def install():
    """Put the finder in front when interpreted mode was asked for; harmless to call twice."""
    if pure() and SourceFinder not in sys.meta_path:
        sys.meta_path.insert(0, SourceFinder)


def compiled(module):
    """True when this loaded module runs as native code."""
    return getattr(module, "__file__", "").endswith(".so")
