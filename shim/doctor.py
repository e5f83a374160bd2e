"""`catflap doctor`: what is wrong on this machine, in this installation and with one program, and what to do."""

import os
import platform
import re
import resource
import subprocess
import sys
import tempfile

import psutil

from libos import config, errors, mode, net_texts
from shim import program, run, syscalls
from shim.finding import BAD, OK, WARN, Finding

PACKAGES = os.path.dirname(os.path.dirname(run.LIBRARY))
NOTE = run.HOST.removesuffix(".so") + ".txt"  # what the host library was built for: "3.11 /path/of/libpython"
REBUILD = "Run 'make' in the source tree, or install catflap again."
TABLE = 1 << 26  # descriptor numbers that the preload can hold
# ways to make one Internet socket from a program that is no Python
SOCKET_MAKERS = (
    ("bash", "-c", "exec 3<>/dev/udp/127.0.0.1/9; exit 0"),
    ("perl", "-MSocket", "-e", "socket(S, PF_INET, SOCK_DGRAM, 0) or die"),
)
PROOF = """
def install(instrument):
    import sys
    compiled = sys.modules["interpose.entries"].__file__.endswith(".so")
    with open({path!r}, "w") as file:
        file.write("%d.%d %s" % (*sys.version_info[:2], "compiled" if compiled else "interpreted"))
"""


def built_for():
    """((3, minor), path of libpython) that the host library was built for, or None."""
    try:
        with open(NOTE) as file:
            version, library = file.readline().split(None, 1)
        return tuple(map(int, version.split("."))), library.strip()
    except (OSError, ValueError):
        return None


def abi():
    """The ABI version of the built host library, or None. Asked in a process of its own: loading it starts things."""
    if not os.path.exists(run.HOST):  # another installation may be importable and would answer instead
        return None
    question = f"import sys; sys.path.insert(0, {PACKAGES!r}); from interpose import abi; print(abi.CATFLAP_ABI)"
    try:
        asked = subprocess.run(
            [sys.executable, "-c", question], capture_output=True, text=True, timeout=30, env=plain_environment()
        )
        return int(asked.stdout) if asked.returncode == 0 else None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def kernel_environment(environ):
    """`environ` without anything of ours: what a program gets that is started without Catflap."""
    result = {name: value for name, value in environ.items() if not name.startswith("CATFLAP_")}
    preloads = result.pop("LD_PRELOAD", "").replace(":", " ").split()
    if preloads:  # perhaps empty: an environment without it would get ours again
        result["LD_PRELOAD"] = ":".join(path for path in preloads if path != run.LIBRARY)
    return result


def plain_environment():
    return kernel_environment(os.environ)


def built_mode():
    """ "compiled" or "interpreted": what programs get here."""
    return "compiled" if mode.built() and not mode.pure() else "interpreted"


def library():
    for path in (run.LIBRARY, run.HOST, NOTE):
        if not os.path.exists(path):
            return Finding("library", BAD, f"{path} is missing: Catflap is not built.", REBUILD)
    if " " in run.LIBRARY or ":" in run.LIBRARY:
        what = f"The loader can't preload {run.LIBRARY}: its path has a space or a colon."
        return Finding("library", BAD, what, "Install Catflap elsewhere.")
    newest = newest_source()
    if newest and os.path.getmtime(newest) > os.path.getmtime(run.LIBRARY):
        return Finding("library", WARN, f"{run.LIBRARY} is older than {newest}.", "Run 'make'.")
    return Finding("library", OK, f"{run.LIBRARY} is there.")


def newest_source():
    """The C source that changed last, in a source tree; None in an installation."""
    folder = os.path.join(PACKAGES, "csrc")
    if not os.path.isdir(folder):
        return None
    return max((os.path.join(folder, name) for name in os.listdir(folder)), key=os.path.getmtime, default=None)


def contract():
    number = abi()
    if number is None:
        return Finding("abi", BAD, "The host library can't be loaded.", REBUILD)
    return Finding("abi", OK, f"The host library speaks ABI {number}.")


def compiled():
    if mode.pure():
        return Finding("mode", WARN, "CATFLAP_PURE is set: everything runs interpreted, slowly.", "Unset CATFLAP_PURE.")
    if built_mode() == "interpreted":
        return Finding("mode", WARN, "There are no compiled modules: everything runs interpreted, slowly.", REBUILD)
    stale = stale_modules()
    if stale:
        return Finding("mode", WARN, f"Compiled modules are older than their source: {', '.join(stale)}.", REBUILD)
    return Finding("mode", OK, "The hot modules are compiled.")


def stale_modules():
    """Names of the compiled modules whose .py is newer than their libraries, in a source tree.

    An installer unpacks both at its own pace: there the times mean nothing.
    """
    if newest_source() is None or not mode.built():
        return []
    sources = {name: os.path.join(PACKAGES, name.replace(".", "/") + ".py") for name in mode.HOT_MODULES}
    return [name for name, path in sources.items() if os.path.getmtime(path) > os.path.getmtime(mode.library_of(name))]


def host_python():
    built = built_for()
    if built is None:
        return Finding(
            "python", BAD, "Which Python programs get is unknown: the host library's note is missing.", REBUILD
        )
    version = ".".join(map(str, built[0]))
    if not os.path.exists(built[1]):
        remedy = f"Install libpython{version} again, or rebuild Catflap for a Python that is here."
        return Finding("python", BAD, f"The host needs {built[1]}, which is gone.", remedy)
    if built[0] != sys.version_info[:2]:
        what = f"Programs get Python {version}, the launcher runs on {platform.python_version()}."
        return Finding("python", WARN, what, "Rebuild Catflap with the Python you use.")
    return Finding("python", OK, f"Programs get Python {version} ({built[1]}).")


def boot(name, command):
    """Start a small program that makes a socket under the preload, and look whether our Python ran inside it."""
    with tempfile.TemporaryDirectory(prefix="catflap-") as folder:
        proof, log, hook = (os.path.join(folder, leaf) for leaf in ("proof", "log", "hook.py"))
        with open(hook, "w") as file:
            file.write(PROOF.format(path=proof))
        environ = plain_environment()
        environ["LD_PRELOAD"] = ":".join(filter(None, [run.LIBRARY, environ.get("LD_PRELOAD")]))
        environ.update(CATFLAP_LIBOS="catnap", CATFLAP_LOG=log, CATFLAP_VERBOSE="1", CATFLAP_HOOK=hook)
        if mode.pure():
            environ["CATFLAP_PURE"] = "1"
        try:
            ran = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
            ended = f"ended with {ran.returncode}"
        except subprocess.TimeoutExpired:
            ended = "hung"
        except OSError as error:
            ended = f"could not be started: {error.strerror}"
        said = [read(path).strip() for path in (proof, log)]
    what = f"{os.path.basename(command[0])} with a socket"
    if said[0] and ended == "ended with 0":
        return Finding(name, OK, f"The host boots in {what}: Python {said[0]}.")
    reason = said[1].splitlines()[-1].removeprefix("catflap: ") if said[1] else "nothing in the log"
    remedy = f"{REBUILD} If that does not help, report it with this output."
    return Finding(name, BAD, f"The host does not boot in {what}: it {ended}; {reason}.", remedy)


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def boots():
    """The boot tried in a C program and in a Python."""
    if not os.path.exists(run.LIBRARY) or not os.path.exists(run.HOST):
        return [Finding("boot", BAD, "The host can't boot: it is not built.", REBUILD)]
    findings = []
    for command in SOCKET_MAKERS:
        try:
            path = program.find(command[0], os.environ)
        except program.Missing:
            continue
        findings.append(boot("boot", [path, *command[1:]]))
        break
    built = built_for()
    if built and built[0] == sys.version_info[:2]:
        findings.append(
            boot("boot-python", [sys.executable, "-I", "-S", "-c", "import socket; socket.socket().close()"])
        )
    return findings or [
        Finding("boot", WARN, "Not tried: no bash, no perl, no Python of the host's version.", "Install bash.")
    ]


def glibc():
    have = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    if not have:
        return Finding("glibc", BAD, "The C library is not glibc.", "Catflap needs glibc.")
    number = tuple(map(int, have.split()[1].split(".")[:2]))
    asked = required_glibc()
    if asked > number:
        wanted = ".".join(map(str, asked))
        return Finding(
            "glibc", BAD, f"libcatflap.so needs glibc {wanted}, this is {have}.", "Build Catflap on this machine."
        )
    return Finding("glibc", OK, f"This is {have}.")


def required_glibc():
    """The newest glibc that libcatflap.so asks for, as (major, minor)."""
    try:
        with open(run.LIBRARY, "rb") as file:
            found = re.findall(rb"GLIBC_(\d+)\.(\d+)", file.read())
    except OSError:
        found = []
    return max(((int(a), int(b)) for a, b in found), default=(0, 0))


def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    what = f"RLIMIT_NOFILE is {number(soft)}, at most {number(hard)}."
    if soft != resource.RLIM_INFINITY and soft < 256:
        return Finding("descriptors", WARN, what, "Raise it: ulimit -n 1024.")
    if hard == resource.RLIM_INFINITY or hard > TABLE:
        return Finding("descriptors", OK, f"{what} Numbers from {TABLE} up would stay on the kernel.")
    return Finding("descriptors", OK, what)


def number(limit):
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def processors():
    usable = len(psutil.Process().cpu_affinity())
    what = f"{usable} of {psutil.cpu_count()} CPUs may be used."
    if usable == 1:
        return Finding("cpus", WARN, what, "Two programs that talk to each other want a CPU each.")
    return Finding("cpus", OK, what)


def status_field(name):
    """One field of /proc/self/status (proc(5)), or ""."""
    match = re.search(rf"^{name}:\s*(\S+)", read("/proc/self/status"), re.M)
    return match[1] if match else ""


def kernel_facts():
    findings = []
    if syscalls.membarrier():
        findings.append(Finding("membarrier", OK, "membarrier is available."))
    else:
        remedy = "Allow the system call membarrier (Linux 4.14)."
        findings.append(
            Finding("membarrier", WARN, "membarrier is not available: closing a descriptor is slow.", remedy)
        )
    if status_field("Seccomp") in ("", "0"):
        findings.append(Finding("seccomp", OK, "No seccomp filter is on this process."))
    else:
        remedy = "None, unless something fails: then allow what the log names."
        findings.append(Finding("seccomp", OK, "A seccomp filter is on this process, as in most containers.", remedy))
    tracer = status_field("TracerPid")
    scope = read("/proc/sys/kernel/yama/ptrace_scope").strip() or "0"
    if tracer not in ("", "0"):
        findings.append(
            Finding("ptrace", WARN, f"Process {tracer} traces this one: calls are slow.", "Measure without it.")
        )
    else:
        attach = "any of your processes" if scope == "0" else "only children" if scope == "1" else "nothing"
        findings.append(Finding("ptrace", OK, f"A debugger may attach to {attach} (ptrace_scope {scope})."))
    state = syscalls.io_uring()
    known = {"available": "is available: a program that uses it bypasses Catflap", "forbidden": "is forbidden here"}
    findings.append(Finding("io_uring", OK, f"io_uring {known.get(state, 'is not in this kernel')}."))
    return findings


def preloads():
    everywhere = read("/etc/ld.so.preload").split()
    others = [path for path in os.environ.get("LD_PRELOAD", "").replace(":", " ").split() if path != run.LIBRARY]
    if everywhere or others:
        what = f"Other preloads are here: {', '.join([*others, *everywhere])}."
        return Finding("preloads", OK, f"{what} Catflap goes in front of them.")
    return Finding("preloads", OK, "No other preload is here.")


def outdated():
    """Programs that still run a library which has been replaced since."""
    names = []
    for process in psutil.process_iter(["name"]):
        if re.search(r"/libcatflap\.so \(deleted\)$", read(f"/proc/{process.pid}/maps"), re.M):
            names.append(f"{process.info['name']} ({process.pid})")
    if names:
        return Finding(
            "running", WARN, f"These still run a replaced libcatflap.so: {', '.join(names)}.", "Restart them."
        )
    return Finding("running", OK, "No program runs a replaced libcatflap.so.")


def configuration(path=None):
    """The configuration of this environment is right, and what it means for the program at `path`."""
    try:
        chosen = config.load(os.environ)
        net_texts.check(chosen.values)
    except (config.ConfigError, errors.Fail) as error:
        return Finding("configuration", BAD, f"{error}.", "Correct it, or see docs/configuration.md.")
    if path is None:
        return Finding("configuration", OK, f"The configuration is {chosen.path or 'the default'}.")
    narrowed = chosen.for_program(os.path.realpath(path))
    rules = f", with {len(narrowed.rules)} address rules" if narrowed.rules else ""
    return Finding("libos", OK, f"Its libOS is {narrowed.libos}{rules}.")


def machine():
    """All findings about this machine and this installation."""
    findings = [library(), contract(), compiled(), host_python(), *boots(), glibc(), descriptors(), processors()]
    return [*findings, *kernel_facts(), preloads(), outdated(), configuration()]


def examine(name):
    """All findings about the program called `name`."""
    from shim import binary

    built = built_for()
    findings, target = binary.examine(name, os.environ, built[0] if built else None)
    return [*findings, configuration(target)] if target else findings
