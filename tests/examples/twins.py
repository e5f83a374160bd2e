"""The examples as programs: each on a libOS and as its POSIX twin, ended whatever happens."""

import os
import selectors
import socket
import subprocess
import sys
import time

import catmints
import flap
import psutil

import libos.mode

TWINS = ("catnap", "catloop", "posix")
PAIRINGS = [(server, client) for server in TWINS for client in TWINS]
if not flap.FULL:
    sample = [("catnap", "catnap"), ("catnap", "posix"), ("posix", "catnap")]
    PAIRINGS = sample + [pair for pair in PAIRINGS if "catnap" not in pair and not libos.mode.pure()]
TIMEOUT = 20
SEGMENT = f"examples-{os.getpid()}"


def command(twin, name, *arguments):
    """The argv of a program: `twin` is a libOS or "posix"."""
    folder = ("examples", "posix") if twin == "posix" else ("examples",)
    argv = [sys.executable, os.path.join(flap.ROOT, *folder, f"{name}.py"), *map(str, arguments)]
    if twin == "catnip":
        argv += ["--segment", SEGMENT]
    if twin in catmints.KINDS:
        provider, node = catmints.KINDS[twin]
        return [*argv, "--libos", "catmint", "--provider", provider, "--node", node]
    return argv if twin == "posix" else [*argv, "--libos", twin]


class Server:
    """A running server on a port of its own choice, killed at the end. `address` and `port`: where it listens."""

    def __init__(self, twin, name, role, *arguments, before=""):
        """`before`: statements to run in the program before its main, with `serving` and itself as `program`."""
        self.argv = command(twin, name, role, 0, *arguments)
        if before:
            package = "examples.posix" if twin == "posix" else "examples"
            code = f"from {package} import serving, {name} as program; {before}; program.main()"
            self.argv[1:2] = ["-c", code]
        self.process = subprocess.Popen(self.argv, cwd=flap.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.address = line_of(self.process).removeprefix("listening on ")
        host, _, port = self.address.rpartition(":")
        assert (host == "127.0.0.1") == (twin != "catnip")  # Catmint's ends meet at the kernel's addresses
        self.port = int(port)

    def connect(self):
        return connected(self.port)

    def connections(self):
        """How many TCP sockets it has open."""
        return len(psutil.Process(self.process.pid).net_connections("tcp"))

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        ended = not self.alive() and self.process.returncode != -9
        self.process.kill()
        said = self.process.communicate(timeout=TIMEOUT)[1].decode()
        assert not ended or kind, f"{self.argv} has ended:\n{said}"
        assert not said, said


def line_of(process):
    """The first line that a program prints; fails when none comes."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline().decode() if selector.select(TIMEOUT) else ""
    if not line:
        process.kill()
        raise AssertionError(process.communicate()[1].decode())
    return line.strip()


def run(twin, name, *arguments, status=0):
    """Run a program to its end; what it printed."""
    done = subprocess.run(command(twin, name, *arguments), capture_output=True, timeout=TIMEOUT, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def received(sock, size):
    """Exactly `size` bytes, fewer at the end of the stream."""
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


def until(true, timeout=TIMEOUT):
    """Wait until `true()`."""
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def connected(port):
    return socket.create_connection(("127.0.0.1", port), TIMEOUT)
