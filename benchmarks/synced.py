"""`python -m benchmarks synced`: redis with `appendfsync always`, its append-only file on the kernel alone and with a
volume of Cattree, by turns: how long a client waits for a durable SET, and what it costs the server.
"""

import os
import socket
import tempfile
import time

from benchmarks.programs import FOLDER, Server, free_port, need, on_one_core
from benchmarks.report import percentile, row

REDIS = "--bind 127.0.0.1 --daemonize no --appendonly yes --appendfsync always --auto-aof-rewrite-percentage 0".split()
REQUEST = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$100\r\n" + b"x" * 100 + b"\r\n"
ANSWER = b"+OK\r\n"
WARM = 20


def cpu(pid):
    """Microseconds that a process has run so far (proc(5))."""
    with open(f"/proc/{pid}/task/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1000


def asked(sock, count, window):
    """Microseconds from each of `count` requests to its answer, with `window` of them on their way together."""
    times = []
    for _ in range(count // window):
        begun = time.perf_counter_ns()
        sock.sendall(REQUEST * window)
        left = len(ANSWER) * window
        while left:
            left -= len(sock.recv(left))
        times.append((time.perf_counter_ns() - begun) / 1000)
    return times


def one(side, count, window):
    """(median, 99th percentile, CPU of the server per request), in microseconds, of a server of its own."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        data = os.path.join(folder, "data")
        os.mkdir(data)
        port = free_port()
        argv = [need("redis-server", "redis-server"), *REDIS, "--save", "", "--port", str(port), "--dir", data]
        settings = {"CATFLAP_STORAGE": f"cattree:{folder}/volume", "CATFLAP_MOUNT": data}
        libos = "kernel" if side == "kernel" else "auto"
        with (
            Server(argv, libos, port, settings=settings) as server,
            socket.create_connection(("127.0.0.1", port)) as sock,
        ):
            with on_one_core():
                asked(sock, WARM, 1)
                before = cpu(server.process.pid)
                times = asked(sock, count, window)
                used = cpu(server.process.pid) - before
            journaled = os.path.exists(os.path.join(folder, "volume"))
            if journaled != (side != "kernel"):
                raise SystemExit(f"catflap: these figures are not of {side}")
    return percentile(times, 50), percentile(times, 99), used / count


def run(quick, progress):
    os.makedirs(FOLDER, exist_ok=True)
    rows = []
    for window in (1, 16):
        progress(f"redis, appendfsync always, {window} at a time")
        found = {"kernel": [], "cattree": []}
        for block in range(2 if quick else 9):
            for side in ("kernel", "cattree") if block % 2 else ("cattree", "kernel"):
                found[side].append(one(side, 160 if quick else 2000, window))
        label = "redis SET, appendfsync always" + (f", {window} at a time" if window > 1 else "")
        for i, name in enumerate(("p50", "p99", "CPU of the server")):
            ours, kernel = ([figures[i] for figures in found[side]] for side in ("cattree", "kernel"))
            rows.append(row(f"{label}, {name}", "µs", ours, kernel=kernel))
    return rows
