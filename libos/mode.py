"""Two modes, one source: compiled where the library of compiled modules is there, interpreted on request.

`CATFLAP_PURE=1` makes our packages load from their .py files even when compiled ones exist. In compiled mode nothing is
imported that Python has not loaded itself, not even os: this is on the path of a program's first socket.
"""

import sys
from _frozen_importlib_external import ExtensionFileLoader, spec_from_file_location
from _imp import extension_suffixes
from posix import environ, stat

PACKAGES = ("libos", "interpose", "shim")
# the one list of what is compiled (setup.py); everything else stays interpreted
HOT_MODULES = (
    "libos.runtime.wakers",
    "libos.runtime.memory",
    "libos.runtime.qtokens",
    "libos.runtime.scheduler",
    "libos.runtime.suspend",
    "libos.runtime.instrument",
    "libos.queue",
    "libos.kernel_queue",
    "libos.rings",
    "libos.records",
    "libos.memory_file",
    "libos.pair",
    "libos.family",
    "libos.spine",
    "libos.leaving",
    "libos.meeting",
    "libos.endpoint",
    "libos.loop_queue",
    "libos.catloop",
    "libos.sgarray",
    "libos.operation",
    "libos.memory_queue",
    "libos.inline",
    "libos.core.table",
    "libos.core.channel",
    "libos.core.sockets",
    "libos.core.loops",
    "libos.core.driving",
    "libos.core.ringing",
    "libos.core.waiting",
    "libos.capi.process",
    "libos.capi.arrays",
    "libos.capi.names",
    "libos.capi.submitting",
    "libos.capi.results",
    "libos.capi.face",
    "interpose.description",
    "interpose.stream",
    "interpose.loop_stream",
    "interpose.sets",
    "interpose.spinning",
    "interpose.arming",
    "interpose.attention",
    "interpose.options",
    "interpose.sockaddr",
    "interpose.interest",
    "interpose.scanning",
    "interpose.watching",
    "interpose.datagram",
    "interpose.listener",
    "interpose.readiness",
    "interpose.entries",
)
NATIVE = __file__.rpartition("/")[0] + "/native" + extension_suffixes()[0]


class NativeFinder:
    """Meta-path finder of the compiled modules. All are in one library: a process maps it once, and a forked child
    has few pages to copy.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in HOT_MODULES:
            return None
        return spec_from_file_location(name, NATIVE, loader=ExtensionFileLoader(name, NATIVE))


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


def built():
    """Whether the library of compiled modules is there."""
    try:
        return stat(NATIVE).st_size > 0
    except OSError:
        return False


def install():
    """Put the finder of the chosen mode in front; harmless to call twice."""
    finder = SourceFinder if pure() else NativeFinder
    if finder not in sys.meta_path and (finder is SourceFinder or built()):
        sys.meta_path.insert(0, finder)


def compiled(module):
    """True when this loaded module runs as native code."""
    return getattr(module, "__file__", "").endswith(".so")
