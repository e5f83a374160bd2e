"""Starting the programs that are measured: on the kernel or under Catflap, pinned, waited for, ended."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time

from benchmarks.report import PRELOAD, ROOT

SERVER_CORE, CLIENT_CORE = "0", "1"
FOLDER = os.path.join(ROOT, "build", "benchmarks")


def environment(libos):
    """The environment of a program on one side."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("CATFLAP_") and k != "LD_PRELOAD"}
    if libos != "kernel":
        env |= {"LD_PRELOAD": PRELOAD, "CATFLAP_LIBOS": libos}
        if os.environ.get("CATFLAP_PURE"):
            env["CATFLAP_PURE"] = os.environ["CATFLAP_PURE"]
    return env


@contextlib.contextmanager
def served(libos):
    """The environment of a side, for as long as its programs run; ends everything if one of them was not served."""
    env = environment(libos)
    if libos == "kernel":
        yield env
        return
    if not os.path.exists(PRELOAD):
        raise SystemExit(f"catflap: {PRELOAD} is missing: run 'make build'")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # some servers run as a user of their own
        log = os.path.join(folder, "log")
        yield env | {"CATFLAP_LOG": log}
        if os.path.exists(log):  # nothing is logged at this level unless something is wrong
            with open(log) as f:
                raise SystemExit(f"catflap: these figures are not of {libos}: {f.readline().strip()}")


def need(program, package):
    path = shutil.which(program)
    if not path:
        raise SystemExit(f"catflap: {program} is missing: apt-get install {package}")
    return path


def pinned(core, argv):
    """`argv` on one core, where there are several and taskset is there."""
    if os.cpu_count() < 2 or not shutil.which("taskset"):
        return argv
    return ["taskset", "-c", core, *argv]


def compiled(name, target, *flags):
    """Path of the program built from benchmarks/c/`name`.c."""
    os.makedirs(FOLDER, exist_ok=True)
    path = os.path.join(FOLDER, target)
    source = os.path.join(ROOT, "benchmarks", "c", f"{name}.c")
    compiler = [os.environ.get("CC", "gcc"), "-O2", "-g", "-pthread", "-D_GNU_SOURCE"]
    subprocess.run([*compiler, *flags, "-o", path, source, "-ldl"], check=True)
    return path


@contextlib.contextmanager
def on_one_core():
    """Keep this thread on the client's core meanwhile."""
    before = os.sched_getaffinity(0)
    if int(CLIENT_CORE) in before:
        os.sched_setaffinity(0, {int(CLIENT_CORE)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def reach(where):
    """Connect once to a port of this machine, to (address, port) or to the path of a Unix socket."""
    if isinstance(where, (int, tuple)):
        socket.create_connection(("127.0.0.1", where) if isinstance(where, int) else where, timeout=5).close()
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(where)


class Server:
    """A server on a port of loopback, at (address, port) or a Unix socket's path, up when entered, gone when left."""

    def __init__(self, argv, libos, port, core=SERVER_CORE, stderr=None, settings=None):
        self.argv, self.libos, self.port, self.core, self.stderr = argv, libos, port, core, stderr
        self.settings = settings or {}  # more of its environment

    def __enter__(self):
        self.service = served(self.libos)
        self.process = subprocess.Popen(
            pinned(self.core, self.argv),
            env=self.service.__enter__() | self.settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.stderr,
        )
        end = time.monotonic() + 20
        while True:
            try:
                reach(self.port)
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.__exit__(None, None, None)
                    raise SystemExit(f"catflap: {self.argv[0]} does not accept on port {self.port}")
                time.sleep(0.02)
        if self.libos in ("catnap", "catloop"):
            # under catloop a listener alone starts no host
            library = "libcatflap_host" if self.libos == "catnap" else "libcatflap"
            with open(f"/proc/{self.process.pid}/maps") as f:
                hosted = library in f.read()
            if not hosted:
                self.__exit__(None, None, None)
                raise SystemExit(f"catflap: {self.argv[0]} runs on the kernel instead of {self.libos}")
        return self

    def __exit__(self, *rest):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.service.__exit__(*rest)
