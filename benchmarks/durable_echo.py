"""An echo whose server has each message on the disk before it answers (SOSP '21, figure 7): a network libOS and Cattree
in one wait, by examples/logged_echo.py, against read, write, fdatasync (or O_DSYNC) and send on the kernel.

`python -m benchmarks.durable_echo server PATH FLAGS` is the kernel's server, both are Python; `... client LIBOS SEGMENT
ADDRESS SIZE COUNT` prints a time in microseconds for each message, of LIBOS "kernel" too.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time

from benchmarks.pairs import compared, interleaved, percentiles
from benchmarks.programs import CLIENT_CORE, SERVER_CORE, pinned
from benchmarks.report import ROOT
from libos.factory import native

SIZE = 64
BEGUN = 100  # messages that are not counted: Catloop goes to its rings meanwhile
SIDES = {"Catloop x Cattree": "catloop", "Catnip x Cattree": "catnip"}
SYNCED, DIRECT = "write + fdatasync", "O_DSYNC"


def serve(path, flags):
    """One connection after the other."""
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | flags)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("listening on {}:{}".format(*listener.getsockname()), flush=True)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                while message := connection.recv(65536):
                    os.write(fd, message)
                    if not flags:
                        os.fdatasync(fd)
                    connection.sendall(message)


def by_kernel(address, size, count):
    """Microseconds of each message there and back."""
    times, message = [], bytes(size)
    with socket.create_connection(address, 20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            begun = time.perf_counter_ns()
            connection.sendall(message)
            left = size
            while left:
                left -= len(connection.recv(left)) or sys.exit("the server has gone")
            times.append((time.perf_counter_ns() - begun) / 1000)
    return times


def by_libos(net, address, size, count):
    """The same by PDPIX."""
    times = []
    qd = net.socket(socket.AF_INET, socket.SOCK_STREAM)
    net.wait(net.connect(qd, address), 20)
    with net.sgaalloc(size) as message:
        for _ in range(count):
            begun = time.perf_counter_ns()
            net.wait(net.push(qd, message))
            left = size
            while left:
                with net.wait(net.pop(qd), 20).sga as sga:
                    left -= len(sga) or sys.exit("the server has gone")
            times.append((time.perf_counter_ns() - begun) / 1000)
    net.close(qd)
    return times


def client(name, segment, address, size, count):
    host, _, port = address.rpartition(":")
    if name == "kernel":
        times = by_kernel((host, int(port)), size, BEGUN + count)
    else:
        net = native(name, segment=segment) if name == "catnip" else native(name)
        times = by_libos(net, (host, int(port)), size, BEGUN + count)
    print(*times[BEGUN:], sep="\n", flush=True)


@contextlib.contextmanager
def listening(argv):
    """The address of a server, for as long as it is needed."""
    server = subprocess.Popen(pinned(SERVER_CORE, argv), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip().removeprefix("listening on ")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def asked(name, argv, count, segment="default"):
    """Percentiles of `count` messages to the server `argv`."""
    with listening(argv) as address:
        words = [
            sys.executable,
            "-m",
            "benchmarks.durable_echo",
            "client",
            name,
            segment,
            address,
            str(SIZE),
            str(count),
        ]
        done = subprocess.run(
            pinned(CLIENT_CORE, words), cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=300, check=True
        )
    return percentiles([float(line) for line in done.stdout.split()])


def rows(folder, quick):
    """The table's rows; files are made in `folder`."""
    pairs, count = (1, 20) if quick else (5, 2000)
    segment = f"bench-log-{os.getpid()}"

    def ours(name):
        path = os.path.join(folder, f"echo-{name}")
        argv = [sys.executable, "examples/logged_echo.py", "0", path, "--libos", name, "--segment", segment]
        return asked(name, argv, count, segment)

    def kernel(flags):
        path = os.path.join(folder, "echo-kernel")
        return asked("kernel", [sys.executable, "-m", "benchmarks.durable_echo", "server", path, str(flags)], count)

    measures = {side: lambda name=name: ours(name) for side, name in SIDES.items()}
    found = interleaved(measures | {SYNCED: lambda: kernel(0), DIRECT: lambda: kernel(os.O_DSYNC)}, pairs)
    made = []
    for side in SIDES:
        for percent in ("p50", "p99"):
            times = {one: [run[percent] for run in runs] for one, runs in found.items()}
            for other in (SYNCED, DIRECT):
                name = f"echo with log, {SIZE} B, {side}, {percent}, against {other}"
                made.append(compared(name, "µs", times[side], times[other]))
    return made


if __name__ == "__main__":
    role, *given = sys.argv[1:]
    if role == "server":
        serve(given[0], int(given[1]))
    else:
        client(*given[:3], int(given[3]), int(given[4]))
