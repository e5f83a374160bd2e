"""`python -m benchmarks.fabric`: Catmint's messages over libfabric's `shm`, against libfabric alone in the same run."""

import functools
import json
import os
import statistics
import subprocess
import sys

from benchmarks.command import command
from benchmarks.pairs import PAIRS, gathered, interleaved, percentiles, quotient
from benchmarks.programs import CLIENT_CORE, SERVER_CORE, compiled, pinned
from benchmarks.report import ROOT, row

PARTS = ("echo",)
OURS, RAW = "Catmint", "libfabric alone"
BAR = 250  # ns
SIZES = (64, 1024)


def run(quick, progress, pairs=PAIRS, parts=PARTS):
    pairs = min(pairs, 2) if quick else pairs
    return gathered({part: functools.partial(RUNS[part], quick, progress, pairs) for part in parts})


def talk(pong, ping):
    """What the second of two programs prints, which is made once the first has said where it is. Raises SystemExit."""
    server = subprocess.Popen(pinned(SERVER_CORE, pong), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    client = None
    try:
        where = server.stdout.readline().strip()
        if not where:
            raise SystemExit("catflap: no endpoint of libfabric's shm")
        client = subprocess.Popen(pinned(CLIENT_CORE, ping(where)), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        printed = client.communicate(timeout=120)[0]
        server.wait(20)
    finally:
        for process in (server, client):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        server.stdout.close()
    if client.returncode or server.returncode:
        raise SystemExit(f"catflap: an end of the fabric ended with {client.returncode or server.returncode}")
    return printed


def ours(size, count):
    """Nanoseconds of each round trip."""
    argv = [sys.executable, "-m", "benchmarks.fabric_end"]
    words = [str(size), str(count)]
    return json.loads(talk([*argv, "pong", *words], lambda port: [*argv, "ping", *words, port]))


def alone(program, size, count):
    """The same of libfabric's own calls."""
    names = [f"bench-{os.getpid()}-{end}" for end in ("pong", "ping")]
    there, here = (f"fi_shm://{name}:{os.getuid()}:0" for name in names)
    words = [str(count), str(size)]
    ping = [program, "ping", names[1], *words, there]
    return [float(word) for word in talk([program, "pong", names[0], *words, here], lambda _: ping).split()]


def echo(quick, progress, pairs):
    """A message there and back, both ends looking all the time. What a message costs is half of what is added to it."""
    program = compiled("fabric", "fabric", "-Wl,--no-as-needed", "-lfabric")
    count = 2_000 if quick else 200_000
    rows = []
    for size in SIZES:
        progress(f"echo of {size} B")
        measures = {OURS: lambda s=size: ours(s, count), RAW: lambda s=size: alone(program, s, count)}
        found = interleaved({side: lambda m=measure: percentiles(m()) for side, measure in measures.items()}, pairs)
        for name in ("p50", "p99"):
            values = {side: [p[name] for p in runs] for side, runs in found.items()}
            title = f"echo of {size} B over shm, {name}"
            rows.append(row(title, "ns", values[OURS], ratio=quotient(values[OURS], values[RAW])))
            rows.append(row(f"the same, {RAW}", "ns", values[RAW]))
            if name == "p50":
                added = [(a - b) / 2 for a, b in zip(values[OURS], values[RAW], strict=True)]
                verdict = {"bar": f"≤ {BAR} ns", "met": statistics.median(added) <= BAR} if size == 64 else {}
                rows.append(row(f"added to a message of {size} B, push and pop", "ns", added, **verdict))
    return rows


RUNS = {"echo": echo}
main = command(run, "Catmint over libfabric", PARTS)

if __name__ == "__main__":
    main()
