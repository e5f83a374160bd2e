"""`python -m benchmarks.segment`: frames through the shared-memory segment, against what two cores can do at best."""

import functools
import json
import os
import subprocess
import sys

from benchmarks.command import command
from benchmarks.conversation import lines
from benchmarks.pairs import PAIRS, gathered, interleaved, limited, percentiles, quotient
from benchmarks.programs import CLIENT_CORE, SERVER_CORE, compiled, pinned
from benchmarks.report import ROOT, row

PARTS = ("echo", "bulk")
LINE, RING, OURS = "cache line", "bare ring", "segment"


def run(quick, progress, pairs=PAIRS, parts=PARTS):
    pairs = min(pairs, 2) if quick else pairs
    return gathered({part: functools.partial(RUNS[part], quick, progress, pairs) for part in parts})


def end(role, core, *words):
    argv = [sys.executable, "-m", "benchmarks.segment_end", role, f"bench-{os.getpid()}", *(str(w) for w in words)]
    return subprocess.Popen(pinned(core, argv), cwd=ROOT, stdout=subprocess.PIPE, text=True)


def hosts(there, here, size, count, mtu=1500):
    """What the two hosts printed, in JSON. Raises SystemExit."""
    server = end(there, SERVER_CORE, size, count, mtu)
    client = None
    try:
        if server.stdout.readline() != "up\n":
            raise SystemExit("catflap: no host on the segment")
        client = end(here, CLIENT_CORE, size, count, mtu)
        printed = [client.communicate(timeout=120)[0], server.communicate(timeout=120)[0]]
    finally:
        for process in (server, client):
            if process and process.poll() is None:
                process.kill()
                process.wait()
    if client.returncode or server.returncode:
        raise SystemExit(f"catflap: a host of the segment ended with {client.returncode or server.returncode}")
    return next(json.loads(text) for text in printed if text)


def echo(quick, progress, pairs):
    """A frame there and back, each host spinning."""
    count = 2_000 if quick else 200_000
    limits = compiled("limits", "limits")
    rows = []
    for size, bar in ((64, 3), (1514, None)):
        progress(f"echo of a frame of {size} B")
        measures = {
            LINE: lambda: lines([limits, "line", str(max(100, count // 100))]),
            RING: lambda s=size: lines([limits, "ring", str(count), str(64 if s == 64 else 1024)]),
            OURS: lambda s=size: hosts("pong", "ping", s, count),
        }
        found = interleaved({side: lambda m=measure: percentiles(m()) for side, measure in measures.items()}, pairs)
        for name in ("p50", "p99"):
            values = {side: [p[name] for p in runs] for side, runs in found.items()}
            title = f"echo of {size} B frames, {name}"
            if name == "p50" and bar:
                rows.append(limited(title, "ns", values[OURS], values[LINE], bar, LINE))
            else:
                rows.append(row(title, "ns", values[OURS]))
            rows += [row(f"the same, {side}", "ns", values[side]) for side in (LINE, RING)]
    return rows


def bulk(quick, progress, pairs):
    """One sender, one receiver. The ratio says how much of a bare ring's rate that is."""
    bare = compiled("frames", "frames")
    rows = []
    for size, mtu, bar in ((64, 1500, None), (1514, 1500, 20), (9014, 9000, None)):
        progress(f"frames of {size} B")
        count = 20_000 if quick else 2_000_000 if size < 9000 else 500_000
        measures = {
            OURS: lambda s=size, m=mtu, n=count: n / hosts("sink", "source", s, n, m) * 1e9,
            RING: lambda s=size, n=count: n / lines([bare, str(s), str(n)])[0] * 1e9,
        }
        found = interleaved(measures, pairs)
        part = quotient(found[OURS], found[RING])
        rows.append(row(f"frames of {size} B", "frames/s", found[OURS], ratio=part))
        rows.append(row("the same, bare ring", "frames/s", found[RING]))
        bits = row(f"frames of {size} B", "bit/s", [rate * size * 8 for rate in found[OURS]])
        rows.append(bits | ({"bar": f"≥ {bar}e9", "met": bits["median"] >= bar * 1e9} if bar else {}))
    return rows


RUNS = {"echo": echo, "bulk": bulk}
main = command(run, "Shared-memory segment", PARTS)

if __name__ == "__main__":
    main()
