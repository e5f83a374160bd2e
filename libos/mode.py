"""Two modes, one source: compiled where the library of compiled modules is there, interpreted on request.

`CATFLAP_PURE=1` makes our packages load from their .py files even when compiled ones exist. In compiled mode nothing is
imported that Python has not loaded itself, not even os: this is on the path of a program's first socket.
"""

import sys
from _frozen_importlib_external import ExtensionFileLoader, spec_from_file_location
from _imp import extension_suffixes
from posix import environ, stat

PACKAGES = ("libos", "interpose", "shim")
# the one list of what is compiled (setup.py), everything else stays interpreted; by the library that it is in: what
# runs in unmodified programs, and what else programs may ask for
LIBRARIES = {
    "native": (
        "libos.runtime.wakers",
        "libos.runtime.memory",
        "libos.runtime.qtokens",
        "libos.runtime.scheduler",
        "libos.runtime.suspend",
        "libos.runtime.instrument",
        "libos.driver",
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
        "interpose.description",
        "interpose.stream",
        "interpose.loop_stream",
        "interpose.driven_stream",
        "interpose.net_stream",
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
    ),
    "native_pdpix": (
        "libos.sgarray",
        "libos.operation",
        "libos.native_function",
        "libos.immediate",
        "libos.memory_queue",
        "libos.inline",
        "libos.core.transport",
        "libos.core.table",
        "libos.core.channel",
        "libos.core.sockets",
        "libos.core.logs",
        "libos.core.loops",
        "libos.core.driving",
        "libos.core.ringing",
        "libos.core.waiting",
        "libos.core.forking",
        "libos.core.log_lines",
        "libos.core.stores",
        "libos.shared_stores",
        "libos.capi.process",
        "libos.capi.arrays",
        "libos.capi.names",
        "libos.capi.submitting",
        "libos.capi.storing",
        "libos.capi.results",
        "libos.capi.face",
    ),
    "native_catnip": (
        "libos.devices.frame_device",
        "libos.devices.segment_ring",
        "libos.devices.segment_file",
        "libos.devices.segment",
        "libos.devices.tap",
        "libos.devices.bell",
        "libos.devices.offload",
        "libos.devices.af_packet",
        "libos.devices.xdp_ring",
        "libos.devices.af_xdp",
        "libos.devices.dpdk",
        "libos.net.tape",
        "libos.net.pool",
        "libos.net.outbox",
        "libos.net.host",
        "libos.net.linked",
        "libos.net.ring",
        "libos.net.routes",
        "libos.net.neighbors",
        "libos.net.output",
        "libos.net.fragments",
        "libos.net.icmp",
        "libos.net.groups",
        "libos.net.udp",
        "libos.net.udp_user",
        "libos.net.stack",
        "libos.net.wire.ethernet",
        "libos.net.wire.arp_packet",
        "libos.net.wire.ip_header",
        "libos.net.wire.icmp_message",
        "libos.net.wire.tcp_header",
        "libos.net.tcp.deadlines",
        "libos.net.tcp.engine",
        "libos.net.tcp.congestion.newreno",
        "libos.net.tcp.congestion.cubic",
        "libos.net.tcp.congestion.vegas",
        "libos.net.tcp.congestion.control",
        "libos.net.tcp.rto",
        "libos.net.tcp.rack",
        "libos.net.tcp.flight",
        "libos.net.tcp.scoreboard",
        "libos.net.tcp.window",
        "libos.net.tcp.timing",
        "libos.net.tcp.agreement",
        "libos.net.tcp.sender",
        "libos.net.tcp.recovery",
        "libos.net.tcp.acking",
        "libos.net.tcp.closing",
        "libos.net.tcp.receiver",
        "libos.net.tcp.cookies",
        "libos.net.tcp.opening",
        "libos.net.tcp.ports",
        "libos.net.tcp.arriving",
        "libos.net.tcp.reported",
        "libos.net.tcp.timers",
        "libos.net.tcp.user",
        "libos.net.recorder",
        "libos.net.snapshot",
        "libos.tape_file",
        "libos.catnip",
        "libos.net_options",
        "libos.relay",
        "libos.ancillary",
        "libos.postbox",
        "libos.letters",
        "libos.posts",
        "libos.passing",
        "libos.carrier",
        "libos.gateway",
        "libos.own_pairs",
        "libos.crossing",
        "libos.errand",
        "libos.tree",
        "libos.member",
        "libos.gate",
        "libos.listeners",
        "libos.landings",
        "libos.arrivals",
        "libos.steward",
        "libos.line",
        "libos.forks",
        "libos.net_socket",
        "libos.keeper",
        "libos.network",
        "interpose.abroad",
        "interpose.interfaces",
        "interpose.net_datagram",
        "interpose.abroad_datagram",
    ),
    "native_cattree": (
        "libos.blocks.block_device",
        "libos.blocks.uring",
        "libos.log.group",
        "libos.log.scan",
        "libos.log.catalog",
        "libos.log.span",
        "libos.log.reading",
        "libos.log.space",
        "libos.log.volume",
        "libos.log.recovery",
        "libos.log.straight",
        "libos.group_commit",
        "interpose.syncing",
    ),
    "native_catmint": (
        "libos.fabric.fabric",
        "libos.fabric.buffers",
        "libos.fabric.slots",
        "libos.fabric.regions",
        "libos.fabric.receives",
        "libos.fabric.engine",
        "libos.fabric.closing",
        "libos.fabric.sending",
        "libos.fabric.receiving",
        "libos.fabric.opening",
        "libos.fabric.turns",
        "libos.fabric.machine",
        "libos.fabric.libfabric",
        "libos.heap_buffers",
        "libos.catmint",
        "libos.message_queue",
        "libos.core.messages",
        "libos.belled_fabric",
        "libos.mint_relay",
        "libos.mint_gateway",
        "libos.mint_meeting",
        "libos.mint_network",
    ),
}
HOT_MODULES = tuple(name for modules in LIBRARIES.values() for name in modules)
FOLDERS = tuple(dict.fromkeys(name.rpartition(".")[0].replace(".", "/") for name in HOT_MODULES))  # where they lie


def library_of(name):
    """Path of the library that a compiled module is in."""
    library = next(library for library, modules in LIBRARIES.items() if name in modules)
    return __file__.rpartition("/")[0] + f"/{library}{extension_suffixes()[0]}"


class NativeFinder:
    """Meta-path finder of the compiled modules. Many are in one library: a process maps it once, and a forked child
    has few pages to copy.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in HOT_MODULES:
            return None
        where = library_of(name)
        return spec_from_file_location(name, where, loader=ExtensionFileLoader(name, where))


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
    """Whether the libraries of compiled modules are there."""
    try:
        return stat(library_of("libos.queue")).st_size > 0
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
