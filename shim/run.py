"""`catflap run`: become the program, with the preload in front and the choices in its environment.

The command line is read by hand and only the standard library is used, because every started program waits for this.
"""

import os
import sys

from libos import config, knobs
from shim import program

LIBRARY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "interpose", "libcatflap.so")
HOST = os.path.join(os.path.dirname(LIBRARY), "libcatflap_host.so")
# (name, takes a value, what it does): the one table of options; help, completion and documentation come from it
OPTIONS = (
    ("--libos", "NAME", f"the libOS for this program: {', '.join(knobs.LIBOSES)}"),
    ("--config", "FILE", "TOML file with defaults and rules"),
    ("--log", "FILE", "append log lines to FILE"),
    ("--spin", "N", "microseconds to look at shared memory before a thread sleeps; 0: none"),
    ("--worth", "N", "reads and writes that earn a connection shared memory"),
    ("--device", "KIND:NAME", f"Catnip's device: {knobs.DEVICE_KINDS}"),
    ("--addresses", "LIST", "Catnip's addresses, as 10.0.0.2/24, after commas; a segment allots its own"),
    ("--gateway", "ADDRESS", "where Catnip sends what is not on its link"),
    ("--routes", "LIST", "networks that Catnip reaches by a gateway, as 10.0.0.0/8 via 10.9.0.1, after commas"),
    ("--mtu", "N", "bytes of Catnip's largest packet; else its device's MTU"),
    ("--neighbours", "LIST", "hosts on Catnip's link that answer no ARP, as 10.9.0.7=02:00:00:00:00:07, after commas"),
    ("--provider", "NAME", "Catmint's fabric: shm, tcp;ofi_rxm, verbs;ofi_rxm or another of libfabric's"),
    ("--node", "ADDRESS", "the address of the interface that Catmint's fabric uses"),
    ("--secret", "FILE", "what Catmint's programs of several machines share, so that they know each other"),
    ("--door", "PORT", "where they meet: a TCP port, the same on all machines; 4794"),
    ("--checksums", "KIND", "none: those of TCP and UDP are left out; for a wire in one machine, both ends of it"),
    ("--storage", "KIND:FILE", "a volume of Cattree, as cattree:FILE: fsync of files under --mount is its"),
    ("--mount", "FOLDER", "the folder of those files"),
    ("--record", "FILE", "keep all of Catnip's frames, calls and clock in FILE, for catflap replay"),
    ("--hook", "FILE", "Python file whose install(instrument) is called inside the program"),
    ("--pure", None, "run Catflap's Python interpreted, not compiled"),
    ("--debug", None, "stop in pdb inside the stack at the program's first pop; implies --pure"),
    ("-v", None, "say more in the log; twice for still more"),
    ("-q", None, "say nothing"),
)
VALUED = {name for name, metavar, _ in OPTIONS if metavar}
PLAIN = {name for name, metavar, _ in OPTIONS if not metavar}
TAPE = b"catflap tape "  # how one begins
USAGE = "catflap run [OPTIONS] -- PROGRAM [ARGS]"


class Refused(Exception):
    """A set-up error: what, why and what to do go on one line of stderr."""

    def __init__(self, what, why, remedy=None, status=2):
        super().__init__(what, why, remedy)
        self.what, self.why, self.remedy, self.status = what, why, remedy, status


class Help(Exception):
    """The user asked for help."""


def complain(what, why, remedy=None, status=2):
    """Print one line on stderr and return the exit status."""
    line = f"catflap: {what}: {why}" + (f"; {remedy}" if remedy else "")
    try:
        os.write(2, line.encode("utf-8", "surrogateescape").replace(b"\n", b" ") + b"\n")
    except OSError:
        pass
    return status


def parse(arguments):
    """(flags {name without dashes: text or True}, program and its arguments). Raises Refused."""
    flags, level, rest = {}, 0, list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word in ("--help", "-h"):
            raise Help
        name, equals, value = word.partition("=")
        if name in VALUED:
            if not equals:
                if not rest or rest[0] == "--":
                    raise Refused("run", f"option {name} needs a value", f"usage: {USAGE}")
                value = rest.pop(0)
            if not value:
                raise Refused("run", f"option {name} needs a value", f"usage: {USAGE}")
            flags[name[2:]] = value
        elif word in PLAIN or not word.startswith("--") and set(word[1:]) <= {"v", "q"}:
            if word.startswith("--"):
                flags[word[2:]] = True
            else:
                level = min(max(level, 0) + word.count("v"), 2) if "q" not in word else -1
                flags["verbose"] = str(level)
        else:
            raise unknown(name, equals)
    if not rest:
        raise Refused("run", "no program given", f"usage: {USAGE}")
    return flags, rest


def unknown(name, equals):
    if name in PLAIN:
        return Refused("run", f"option {name} takes no value", f"usage: {USAGE}")
    from difflib import get_close_matches

    close = get_close_matches(name, [option[0] for option in OPTIONS], 1, 0.7)
    return Refused(
        "run", f"unknown option {name}", f"did you mean {close[0]}?" if close else "see 'catflap run --help'"
    )


def library():
    """Path of the preload, checked. Raises Refused."""
    if not os.path.exists(LIBRARY):
        raise Refused(
            "libcatflap.so", f"not built (no {LIBRARY})", "run 'make' in the source tree or install catflap again"
        )
    if " " in LIBRARY or ":" in LIBRARY:
        raise Refused(
            "libcatflap.so",
            f"the loader can't preload a path with a space or colon ({LIBRARY})",
            "install catflap elsewhere",
        )
    return LIBRARY


def settings(flags, environ):
    """The checked configuration, its paths absolute. Raises Refused."""
    given = {name: value for name, value in flags.items() if value is not True}
    try:
        chosen = config.load(environ, given)
    except config.ConfigError as error:
        what, _, why = str(error).partition(": ")
        raise Refused(what, why)
    check_network(chosen)
    check_fabric(chosen)
    for name in ("log", "mount", "record", "hook", "secret"):
        if chosen.values[name]:
            chosen.values[name] = os.path.abspath(chosen.values[name])
    check_storage(chosen)
    if chosen.path:
        chosen.path = os.path.abspath(chosen.path)
    if chosen.log:
        check_log(chosen.log)
    if chosen.record:
        check_record(chosen)
    if chosen.hook:
        check_hook(chosen.hook)
    return chosen


def check_network(chosen):
    """Refused unless what describes Catnip's network can be right."""
    if any(chosen.values[name] for name in ("addresses", "gateway", "routes", "mtu", "neighbours")):
        from libos import errors, net_texts

        try:
            net_texts.check(chosen.values)
        except errors.Fail as error:
            raise Refused("Catnip's network", str(error))


def check_fabric(chosen):
    """Refused unless what says where Catmint's fabric is can be an address."""
    if chosen.node:
        import ipaddress

        try:
            ipaddress.ip_address(chosen.node)
        except ValueError:
            raise Refused(f"node {chosen.node}", "is no address", "give one that an interface of this machine has")
    if chosen.secret:
        from libos.mint_secret import Secret

        try:
            Secret(chosen.secret)
        except (OSError, ValueError) as error:
            why = program.said(error) if isinstance(error, OSError) else str(error)
            raise Refused(f"secret {chosen.secret}", why, "give a file of at least 16 random bytes, with mode 600")


def check_storage(chosen):
    """Refused unless there is both a volume and a folder that it is for, or none."""
    storage, mount = chosen.storage, chosen.mount
    if not storage and not mount:
        return
    if not storage or not mount:
        missing = "--storage" if mount else "--mount"
        raise Refused("storage", f"{missing} is missing", "give --storage cattree:FILE and --mount FOLDER together")
    kind, _, path = storage.partition(":")
    if kind != "cattree" or not path:
        raise Refused(f"storage {storage}", "not possible", "use cattree:FILE")
    if not os.path.isdir(mount):
        raise Refused(f"mount {mount}", "is no folder", "make it first")
    if chosen.sources["storage"] == "file":
        path = os.path.join(os.path.dirname(chosen.path), path)
    path = os.path.abspath(path)
    chosen.values["storage"] = f"cattree:{path}"
    if not os.access(path if os.path.exists(path) else os.path.dirname(path), os.W_OK, effective_ids=True):
        raise Refused(f"storage {storage}", "not writable", "give another file")


def check_log(path):
    """Refused unless lines can be appended to `path`; makes the file, 0600, if there is none."""
    try:
        if os.path.exists(path):
            if os.path.isdir(path):
                raise Refused(f"log {path}", "is a directory", "give the name of a file")
            if not os.access(path, os.W_OK, effective_ids=True):
                raise Refused(f"log {path}", "not writable", "give another file")
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600))
    except OSError as error:
        raise Refused(f"log {path}", f"not writable: {program.said(error)}", "give another file")


def check_record(chosen):
    """Refused unless a tape can be made there, and a program be on Catnip; one that a flag names makes way for it."""
    path = chosen.record
    if "catnip" not in (chosen.libos, *(rule.libos for rule in chosen.rules)):
        raise Refused(f"record {path}", "only what runs on Catnip is recorded", "add --libos catnip")
    if chosen.sources["record"] != "flag":
        return
    try:
        if os.path.lexists(path):
            with open(path, "rb") as file:
                if file.read(len(TAPE)) not in (TAPE, b""):
                    raise Refused(f"record {path}", "is there, and is no tape", "give another file")
            os.unlink(path)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.unlink(path)  # whoever opens the network first makes it
    except OSError as error:
        raise Refused(f"record {path}", f"not writable: {program.said(error)}", "give another file")


def check_hook(path):
    """Refused unless `path` is Python that defines install."""
    remedy = "give a Python file that defines install(instrument)"
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
    except OSError as error:
        raise Refused(f"hook {path}", f"can't be read: {program.said(error)}", remedy)
    except SyntaxError as error:
        raise Refused(f"hook {path}", f"line {error.lineno}: {error.msg}", remedy)
    except ValueError as error:
        raise Refused(f"hook {path}", str(error), remedy)
    if "install" not in code.co_names:
        raise Refused(f"hook {path}", "defines no install", remedy)


def environment(flags, chosen, environ):
    """The program's environment: `environ` with the preload in front and the choices as CATFLAP_* variables."""
    result = dict(environ)
    result.pop("CATFLAP_RUN_PID", None)
    others = [path for path in environ.get("LD_PRELOAD", "").replace(":", " ").split() if path != LIBRARY]
    result["LD_PRELOAD"] = ":".join([LIBRARY, *others])
    if chosen.sources["libos"] in ("environment", "flag"):  # a file's choice stays below its rules
        result["CATFLAP_LIBOS"] = chosen.libos
    if chosen.path:
        result["CATFLAP_CONFIG"] = chosen.path
    for knob in knobs.KNOBS:
        if knob.name != "libos" and chosen.sources[knob.name] != "default":
            result[knob.environment] = str(chosen.values[knob.name])
    if flags.get("pure") or flags.get("debug"):
        result["CATFLAP_PURE"] = "1"
    if flags.get("debug"):
        result["CATFLAP_DEBUG"] = debugger_terminal(environ)
    return result


def debugger_terminal(environ):
    """CATFLAP_DEBUG: "1" for the controlling terminal, or the path that was already there. Refused without either."""
    path = environ.get("CATFLAP_DEBUG", "")
    terminal = path if path.startswith("/") else "/dev/tty"
    try:
        os.close(os.open(terminal, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError as error:
        raise Refused("--debug", f"no terminal for the debugger ({terminal}: {program.said(error)})", "use a terminal")
    return path if path.startswith("/") else "1"


def undo_python(environ):
    """Take back what starting this Python changed and exec would hand on: ignored signals and a coerced locale."""
    import _signal  # the C part of signal: its Python part costs more than the whole launch

    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    if environ.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):  # PEP 538
        try:
            with open("/proc/self/environ", "rb") as file:
                before = file.read().split(b"\0")
        except OSError:
            return
        value = [entry[9:] for entry in before if entry.startswith(b"LC_CTYPE=")]
        if value:
            environ["LC_CTYPE"] = os.fsdecode(value[0])
        else:
            del environ["LC_CTYPE"]


def start(path, words, environ):
    """Become the program at `path`; as execvp(3), a file that is no program is read by /bin/sh. Raises Missing."""
    try:
        try:
            os.execve(path, words, environ)
        except OSError as error:
            if error.errno != program.errno.ENOEXEC or program.is_binary(program.head(path)):
                raise
            os.execve("/bin/sh", ["/bin/sh", path, *words[1:]], environ)
    except OSError as error:
        why = program.said(error)
        if error.errno == program.errno.ENOENT:
            words = program.shebang(program.head(path))
            why = f"its interpreter {words[0]} is missing" if words else "its loader is missing"
            raise program.Missing(program.NOT_FOUND, why, "install it")
        remedy = "give a program for this machine" if error.errno == program.errno.ENOEXEC else "see execve(2)"
        raise program.Missing(program.NOT_EXECUTABLE, why, remedy)


def main(arguments):
    """Parse, check, exec. Returns an exit status only when the program could not be started."""
    try:
        flags, words = parse(arguments)
        preload = library()
        chosen = settings(flags, os.environ)
        environ = environment(flags, chosen, os.environ)
        path = program.find(words[0], environ)
        terminal = os.isatty(2)
        if terminal and chosen.verbose >= 0 and chosen.libos != "kernel":
            reason = program.quick_reason(path, environ)
            if reason:
                complain(words[0], f"stays on the kernel: {reason}", f"see 'catflap doctor {words[0]}'")
        if terminal and chosen.verbose > 0 and not chosen.log:
            environ["CATFLAP_LOG"] = os.ttyname(2)
        environ["CATFLAP_RUN_PID"] = str(os.getpid())  # this process may tell the user what fails, its children not
        undo_python(environ)
        start(path, words, environ)
    except Refused as error:
        return complain(error.what, error.why, error.remedy, error.status)
    except program.Missing as error:
        return complain(words[0], str(error), error.remedy, error.status)
    return preload


def print_library():
    """`catflap library`: the path of the preload on stdout."""
    try:
        print(library(), flush=True)
    except Refused as error:
        return complain(error.what, error.why, error.remedy, error.status)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
