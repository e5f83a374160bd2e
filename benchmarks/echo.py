"""TCP echo between two processes, each on a core of its own: blocking and spinning, kernel and Catnap at both ends."""

import statistics
import subprocess

from benchmarks.programs import CLIENT_CORE, Server, compiled, free_port, pinned, served
from benchmarks.report import percentile, row

LIBOSES = ("kernel", "catnap")
MODES = {"block": "blocking", "spin": "spinning"}


def round_trips(path, port, libos, size, count, mode):
    """Nanoseconds of each of `count` round trips."""
    argv = pinned(CLIENT_CORE, [path, "client", str(port), str(size), str(count), mode])
    with served(libos) as env:
        done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    return [int(line) for line in done.stdout.split()]


def run(quick, progress):
    path = compiled("echo", "echo")
    pairs, count = (2, 200) if quick else (24, 4_000)
    rows = []
    for mode, title in MODES.items():
        for size in (64, 1024):
            progress(f"echo of {size} B, {title}")
            found = {libos: {"p50": [], "p99": []} for libos in LIBOSES}
            ports = {libos: free_port() for libos in LIBOSES}
            for pair in range(pairs):
                for libos in LIBOSES if pair % 2 == 0 else LIBOSES[::-1]:
                    # one server at a time: a spinning one would have the core
                    with Server([path, "server", str(ports[libos])], libos, ports[libos]):
                        took = round_trips(path, ports[libos], libos, size, count, mode)
                    for name, percent in (("p50", 50), ("p99", 99)):
                        found[libos][name].append(percentile(took, percent))
            rows += [
                row(
                    f"echo {size} B, {title}, {name}",
                    "ns",
                    found["catnap"][name],
                    kernel=found["kernel"][name],
                    ratio=statistics.median(
                        o / k for k, o in zip(found["kernel"][name], found["catnap"][name], strict=True)
                    ),
                )  # fmt: skip
                for name in ("p50", "p99")
            ]
    return rows
