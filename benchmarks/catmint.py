"""`python -m benchmarks catmint`: unmodified programs on Catmint by shared memory, both ends, against the kernel."""

import contextlib
import tempfile

from benchmarks.conversation import conversation
from benchmarks.pairs import compared, gathered, interleaved, percentiles
from benchmarks.programs import free_port
from benchmarks.redis import ask, server
from benchmarks.report import row

PAIRS = 5
OURS, SPINNING, FOUND = "Catmint", "kernel, spinning", "kernel, blocking"


def echo(quick, progress, pairs):
    """64 B there and back by a C program at each end, on a core each."""
    progress("echo of 64 B on Catmint")
    count = 300 if quick else 20_000
    sides = {OURS: ("catmint", "block"), SPINNING: ("kernel", "spin"), FOUND: ("kernel", "block")}
    measures = {
        side: lambda libos=libos, mode=mode: percentiles(conversation("echo", libos, 64, count, mode))
        for side, (libos, mode) in sides.items()
    }
    found = interleaved(measures, pairs)
    f = {side: {name: [p[name] for p in runs] for name in runs[0]} for side, runs in found.items()}
    rows = [row("echo 64 B, Catmint, shm, p99", "ns", f[OURS]["p99"])]
    for side, bar in ((SPINNING, 4), (FOUND, 25)):
        rows.append(
            compared(f"echo 64 B, Catmint, shm, p50, against {side}", "ns", f[OURS]["p50"], f[side]["p50"], bar)
        )
    return rows


def redis(quick, progress, pairs):
    """redis-benchmark with one client."""
    progress("redis on Catmint")
    requests = 2000 if quick else 50_000
    with contextlib.ExitStack() as stack:
        ports = {}
        for side in ("catmint", "kernel"):
            ports[side] = free_port()
            stack.enter_context(server(side, ports[side], stack.enter_context(tempfile.TemporaryDirectory())))
        measures = {side: lambda side=side: ask(ports[side], requests, 1, 1, side)["GET"] for side in ports}
        found = interleaved(measures, pairs)
    return [compared("redis GET, 1 client, Catmint, shm", "requests/s", found["catmint"], found["kernel"], 3)]


def run(quick, progress):
    pairs = 1 if quick else PAIRS
    return gathered({part.__name__: lambda part=part: part(quick, progress, pairs) for part in (echo, redis)})
