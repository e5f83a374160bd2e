"""Harness of the compatibility tests: runs programs on the kernel and under Catflap and leaves nothing of them behind.

Every program runs under a small warden (scenarios/c/warden.c) which adopts and kills whatever the program leaves. A
result carries the program's status, its output, what Catflap logged, and how many orphans were killed.
"""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCES = os.path.join(ROOT, "tests", "scenarios", "c")
CACHE = os.path.join(ROOT, "build", "scenarios")
# FLAP_ROOT points the tests at another installation of the same version (a wheel, a staged tree)
INSTALLED = os.environ.get("FLAP_ROOT") or ROOT
PRELOAD = os.path.join(INSTALLED, "interpose", "libcatflap.so")
LIBOSES = ("kernel", "catnap", "auto")
# Catmint by the fabrics that need no device
FABRICS = {"catmint-shm": {}, "catmint-tcp": {"CATFLAP_PROVIDER": "tcp;ofi_rxm", "CATFLAP_NODE": "127.0.0.1"}}
FULL = os.environ.get("FLAP_MATRIX") == "full"
CFLAGS = ["-O2", "-g", "-Wall", "-Wextra", "-pthread", "-D_GNU_SOURCE"]
OURS = re.compile(r"^(CATFLAP_|FLAP_)|^(LD_PRELOAD|PYTHONPATH|PYTHONHOME|PYTHONSTARTUP)$")
# a line of the log that says a run was not what it claims to be
COMPLAINTS = re.compile(r"Traceback|staying on the kernel|in an entry|failed", re.IGNORECASE)
wires = None  # who gives programs a network of their own and what they need there (programs/wires.py)


class Result:
    """How one program ended: status (128 + signal when killed), stdout and stderr (bytes), log (text)."""

    def __init__(self, status, stdout, stderr, log, note, host, seconds):
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.log = log
        self.note = note
        self.host = host
        self.seconds = seconds

    @property
    def timed_out(self):
        """True when the warden had to end it; then `note` tells where each thread slept."""
        return "timeout 1" in self.note

    @property
    def orphans(self):
        """Processes still alive when the program had ended."""
        found = re.search(r"orphans (\d+)", self.note)
        return int(found.group(1)) if found else 0

    def __str__(self):
        parts = [f"status {self.status} after {self.seconds:.2f} s", self.note.strip()]
        for label, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            parts.append(f"--- {label}\n{text[-4000:].decode(errors='backslashreplace')}")
        parts.append(f"--- log\n{self.log[-6000:]}")
        return "\n".join(parts)


def compiled(source, *, fortify=False, flags=(), out=None, cc=None):
    """Path of the program (or, with -shared in `flags`, the library) built from tests/scenarios/c/`source`.

    Built once per content of the source, of the headers and of the flags; kept under build/scenarios.
    """
    path = os.path.join(SOURCES, source)
    options = [*CFLAGS, *(["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"] if fortify else []), *flags]
    cc = cc or os.environ.get("CC", "gcc")
    digest = hashlib.sha256(repr((cc, options)).encode())
    headers = sorted(os.path.join(SOURCES, name) for name in os.listdir(SOURCES) if name.endswith(".h"))
    for name in (path, *headers):
        with open(name, "rb") as f:
            digest.update(f.read())
    stem = out or source.removesuffix(".c")
    target = os.path.join(CACHE, f"{stem}-{digest.hexdigest()[:16]}")
    if "-shared" in flags:
        target += ".so"
    if not os.path.exists(target):
        os.makedirs(CACHE, exist_ok=True)
        temporary = f"{target}.{os.getpid()}"
        subprocess.run([cc, *options, "-o", temporary, path, "-ldl"], check=True, stdin=subprocess.DEVNULL)
        os.replace(temporary, target)
    return target


def scenarios(source):
    """Names of the scenarios in one C file, in order."""
    with open(os.path.join(SOURCES, source)) as f:
        return re.findall(r"^SCENARIO\((\w+)\)", f.read(), re.M)


def environment(libos, *, pure=False, log=None, preload=None, before=(), after=(), extra=None):
    """The environment of a program: `libos` "kernel" means no preload at all, the oracle."""
    env = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    env["LC_ALL"] = "C.UTF-8"
    libraries = list(before)
    if libos != "kernel":
        libraries.append(preload or PRELOAD)
        env["CATFLAP_LIBOS"] = "catmint" if libos in FABRICS else libos
        env.update(FABRICS.get(libos, {}))
        env["CATFLAP_WORTH"] = "1"
        env["CATFLAP_PURE"] = "1" if pure else ""
        if log:
            env["CATFLAP_LOG"] = log
    libraries += after
    if libraries:
        env["LD_PRELOAD"] = ":".join(libraries)
    env.update(extra or {})
    return env


class Program:
    """A running program. A context manager: on leaving it, the program and all it started are gone.

    `argv` as for exec; `timeout` seconds after which the warden kills it. Output goes to files, never to pipes that
    could fill. `stdin`: bytes, or what Popen takes. `strict`: on the end, a complaint in Catflap's log is an error.
    """

    def __init__(
        self,
        argv,
        libos="kernel",
        *,
        pure=False,
        timeout=30,
        env=None,
        stdin=None,
        cwd=None,
        log=None,
        preload=None,
        before=(),
        after=(),
        strict=True,
    ):
        self.folder = tempfile.mkdtemp(prefix="flap-")
        self.libos = libos
        self.strict = strict and libos != "kernel"
        self.log_path = log or self.path("log")
        extra = {"FLAP_NOTE": self.path("host"), **(env or {})}
        self.wires, self.joined = wires, {}
        if wires is not None:
            self.joined, elsewhere = wires.joined(libos)
            extra, before = {**self.joined, **extra}, [*elsewhere, *before]
        settings = environment(
            libos, pure=pure, log=self.log_path, preload=preload, before=before, after=after, extra=extra
        )
        warden = compiled("warden.c")
        # what concerns the program alone is set by the warden in the child, so that it is never preloaded itself
        mine = [f"{k}={v}" for k, v in settings.items() if OURS.match(k)]
        outer = {k: v for k, v in settings.items() if not OURS.match(k)}
        self.started = time.monotonic()
        feed = subprocess.DEVNULL if stdin is None else stdin
        if isinstance(stdin, bytes):
            with open(self.path("in"), "wb") as f:
                f.write(stdin)
            feed = open(self.path("in"), "rb")
        with open(self.path("out"), "wb") as out, open(self.path("err"), "wb") as err:
            self.process = subprocess.Popen(
                [warden, self.path("note"), str(timeout), *mine, "--", *argv],
                stdin=feed,
                stdout=out,
                stderr=err,
                env=outer,
                cwd=cwd,
                start_new_session=True,
            )
        if isinstance(stdin, bytes):
            feed.close()
        self.result = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        try:
            with open(self.path(name), "rb") as f:
                return f.read()
        except OSError:
            return b""

    def log(self):
        try:
            with open(self.log_path, errors="backslashreplace") as f:
                return f.read() if os.path.isfile(self.log_path) else ""
        except OSError:
            return ""

    @property
    def pid(self):
        """Process id of the program itself."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return int(f.read().split()[0])

    def family(self):
        """Process ids of the program and of everything below it."""
        found, todo = [], [self.process.pid]
        while todo:
            parent = todo.pop()
            try:
                for task in os.listdir(f"/proc/{parent}/task"):
                    with open(f"/proc/{parent}/task/{task}/children") as f:
                        todo += [int(pid) for pid in f.read().split()]
            except OSError:
                continue
            found.append(parent)
        return found[1:]

    def wait(self, timeout=None):
        """Wait for the end; returns the Result."""
        if self.result is None:
            status = self.process.wait(timeout)
            host = self.read("host").decode()
            self.result = Result(
                status,
                self.read("out"),
                self.read("err"),
                self.log(),
                self.read("note").decode(),
                host.split()[1::2],
                time.monotonic() - self.started,
            )
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.wires is not None:
                self.wires.left(self.joined)
        return self.result

    def stop(self):
        """End it (SIGTERM, then SIGKILL by the warden) and everything it started; returns the Result."""
        if self.result is None and self.process.poll() is None:
            self.process.terminate()
        return self.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        result = self.stop()
        if kind is None and self.strict:
            check_log(result)
        elif kind is not None:
            print(f"\n{self.process.args[3:]}\n{result}")


def check_log(result):
    """Fail when Catflap's log says that the run was not under Catflap, or that something broke inside."""
    complaint = COMPLAINTS.search(result.log)
    assert not complaint, f"Catflap complained ({complaint.group(0)}):\n{result}"


def run(argv, libos="kernel", **options):
    """Run a program to its end; returns the Result. Options as for Program; `timeout` in seconds."""
    program = Program(argv, libos, **options)
    try:
        result = program.wait(options.get("timeout", 30) + 30)
    except subprocess.TimeoutExpired:
        os.kill(program.process.pid, signal.SIGKILL)
        raise
    if program.strict:
        check_log(result)
    return result


def free_port():
    """A TCP port below the ephemeral range on which nobody listens, for programs that can't be told to use port 0."""
    for _ in range(1000):
        port = 10000 + int.from_bytes(os.urandom(2), "little") % 20000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def wait_for_port(port, program=None, timeout=20):
    """Return once something accepts on 127.0.0.1:`port`; fail when `program` ends before."""
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            if program is not None and program.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{program.wait()}")
            if time.monotonic() > end:
                raise AssertionError(f"nothing accepts on port {port}")
            time.sleep(0.01)


def need(program, package):
    """Path of an installed program; the test fails with the name of the Debian package when it is missing."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    assert path, f"{program} is missing: apt-get install {package}"
    return path


def no_tap():
    """Why no TAP interface can be made in a network namespace here; "" where one can."""
    if not (shutil.which("unshare") and shutil.which("ip") and os.path.exists("/dev/net/tun")):
        return "no unshare, ip or /dev/net/tun"
    command = ["unshare", "-n", "ip", "tuntap", "add", "tap0", "mode", "tap"]
    return subprocess.run(command, capture_output=True, text=True).stderr.strip()
