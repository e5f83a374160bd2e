"""What runs inside the program: started once by the preload's first call that concerns us.

Fills the bridge: every entry points at a cffi function of this module until compiled modules replace it by a native
address. Standard library only, and little of it: this is on the path of a program's first socket.
"""

import posix
import sys

from _catflap_host import ffi, lib

from interpose import abi, sets, spinning

EPERM, EIO, ENOSYS = 1, 5, 38


def log(what, error=None):
    """One entry of the log: a line, and the traceback of `error`. Never to the program's own output."""
    text = f"catflap[{posix.getpid()}]: {what}\n"
    if error is not None:
        try:
            import traceback

            text += "".join(traceback.format_exception(error))
        except ImportError:  # its file is out of the program's reach
            text += f"{error!r}\n"
    lib.services_log(text.encode("utf-8", "replace"))


def onerror(kind, error, trace):
    log("in an entry", error)


def onerror_shared(kind, error, trace):
    """As onerror, in a program that is a Python: its signal handlers run at our first bytecode, before all else.

    Then the entry's work is done now, from its arguments, and the handler's exception is the program's.
    """
    error = error.with_traceback(trace)
    if not handed.foreign(error):
        return onerror(kind, error, trace)
    names = trace.tb_frame.f_locals
    try:
        return names["entry"](*names["arguments"])
    except BaseException as ours:
        log("in an entry", ours)
    finally:
        handed.hand_back(error)


def first_frame(entry):
    def first(*arguments, entry=entry):
        return entry(*arguments)

    return first


WAKES = 5  # how much longer a thread looks where what it waits for comes by way of the keeper's wake-up and its own
CLOSED = {"handle": 0, "pending": 0}  # an address and a count: what they are of a description that has neither


def connect_entries(entries, alive, shared):
    """Interpreted mode: a three-line function behind every entry of the bridge."""
    for operation, (function, described) in entries.items():
        if described:
            closed = CLOSED.get(operation, lib.CATFLAP_STALE)

            def entry(d, *rest, function=function, closed=closed):
                described = alive.get(int(ffi.cast("uintptr_t", d)))
                # closed by another thread while this one waited for the GIL
                return closed if described is None else function(described, *rest)
        else:
            entry = function
        if shared:
            ffi.def_extern(name="py_" + operation, error=-EIO, onerror=onerror_shared)(first_frame(entry))
        else:
            ffi.def_extern(name="py_" + operation, error=-EIO, onerror=onerror)(entry)


def address_of(name):
    """Where a member of the bridge lies."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib.ops_table, name)))


def environment():
    """The program's environment as it started, as text. Not os.environ: importing os takes a tenth of the boot."""
    return {
        name.decode(errors="surrogateescape"): value.decode(errors="surrogateescape")
        for name, value in posix.environ.items()
    }


def program():
    """Name of the program we are in."""
    try:
        return posix.readlink("/proc/self/exe")
    except OSError:
        return ""


def run_hook(path):
    """Load the Python file of --hook and let it install its hooks."""
    from libos.runtime import instrument

    instrument.on_error = lambda name, error: log(f"in the {name} hook", error)
    namespace = {"__name__": "catflap_hook", "__file__": path}
    with open(path) as f:
        exec(compile(f.read(), path, "exec"), namespace)
    namespace["install"](instrument)


def start(shared):
    """Build the libOS this program gets and fill the bridge. Returns 0 or a CATFLAP_KERNEL_* reason."""
    from libos import config

    environ = environment()
    settings = config.load(environ)
    choice = settings.for_program(program())
    abi.fill(lib)
    wanted = {choice.libos} | {rule.libos for rule in choice.rules}
    if wanted == {"kernel"}:
        return lib.CATFLAP_KERNEL_ASKED
    from interpose import description, entries
    from libos import factory

    process = description.process()
    # a connection that a rule gives to Catnap is one of Catloop's that never leaves the kernel
    upgrades = bool(wanted & {"auto", "catloop", "catnip", "catmint"})
    if upgrades:
        from libos.memory_file import Announce

        Announce.to = lambda fd: lib.services_bind(fd, 0, lib.CATFLAP_OWN)  # before the first of them
    process.libos = (
        factory.make("catloop", worth=choice.worth, lends="catnip" in wanted) if upgrades else factory.make("catnap")
    )
    process.default = choice.libos
    process.watched = upgrades
    process.qtokens = process.libos.qtokens
    process.heap = process.libos.heap
    if choice.rules:
        process.choose = lambda host, port: choice.choose(host, port) or choice.libos
        process.ruled = True
    process.log = log
    process.forks_at = address_of("forks")
    process.bind_number = lib.services_bind
    process.grace_begin = lib.services_grace_begin
    process.grace_passed = lib.services_grace_passed
    if process.watched:
        from interpose import attention
        from interpose.loop_stream import LoopStream

        process.attention = attention
        process.stream = LoopStream
        if "catnip" in wanted:
            from interpose import abroad, abroad_datagram, interfaces
            from interpose.net_stream import NetStream

            run = environ.get("CATFLAP_RUN_PID")
            process.network = factory.network(process.libos, choice.values, run, lib.services_own_thread, log)
            process.network.tape = choice.record
            process.abroad, process.datagrams, process.interfaces = abroad, abroad_datagram, interfaces
            process.stream = NetStream
        elif choice.libos == "catmint":
            from interpose.driven_stream import DrivenStream

            process.mint = factory.mint(process.libos, choice.values, lib.services_own_thread, log)
            process.stream = DrivenStream
        lib.ops_table.sets = 1
        sets.begin(process.libos, address_of("unseen"))
        if process.network is not None:
            process.network.forks.begin()  # behind Catloop's
        driven = process.network or process.mint
        if process.mint is not None:
            process.mint.begin_forks()
        spinning.begin(choice.spin * 1000 * (WAKES if driven is not None else 1))
    syncs = {}
    if choice.storage and choice.mount:
        from interpose import syncing
        from interpose.files import Files

        say = log if settings.verbose > 0 else lambda line: None
        volume = choice.storage.partition(":")[2]
        try:
            process.files = Files(volume, choice.mount, process.heap, lib.services_bind, process.forks_at, log, say)
            syncs = syncing.native() or {"sync": (syncing.sync, False)}
        except OSError as error:
            log("files stay on the kernel", error)
    native = entries.native()
    if native:
        for operation, address in (native | syncs).items():
            lib.set_native(operation.encode(), address)
    else:
        connect_entries(entries.interpreted() | syncs, description.ALIVE, shared)
        if not shared:
            from libos import at_exit, raw_ctypes

            at_exit.HERE.register = raw_ctypes.at_exit
    if shared:
        import atexit

        global handed
        from interpose import handed

        process.handed = handed
        atexit.register(lib.services_die)
        if process.network is not None:
            atexit.register(process.network.farewell)
        if process.mint is not None:
            atexit.register(process.mint.farewell)
    hook = settings.hook
    if hook:
        run_hook(hook)
    if environ.get("CATFLAP_DEBUG"):
        from interpose import debug

        debug.attach()
    if native:
        lib.ops_table.guarded = 1 if hook or environ.get("CATFLAP_DEBUG") else 0
    return 0


@ffi.def_extern(name="catflap_boot", error=5, onerror=lambda *_: 5)
def boot(shared):
    try:
        return start(shared)
    except BaseException as error:
        log(f"starting in {sys.version.split()[0]} failed", error)
        # what a filter refuses; a file that can't be read is EACCES
        forbidden = isinstance(error, OSError) and error.errno in (EPERM, ENOSYS)
        return lib.CATFLAP_KERNEL_SECCOMP if forbidden else lib.CATFLAP_KERNEL_BOOT_FAILED
