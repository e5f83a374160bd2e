"""`python -m benchmarks.fabric`: Catmint's messages over libfabric's `shm`, against libfabric alone in the same run."""

import functools
import json
import os
import statistics
import subprocess
import sys

from benchmarks import plots
from benchmarks.command import command
from benchmarks.conversation import conversation
from benchmarks.latency import point
from benchmarks.pairs import PAIRS, gathered, interleaved, percentiles, quotient
from benchmarks.pdpix import built
from benchmarks.programs import CLIENT_CORE, SERVER_CORE, compiled, free_port, need, pinned
from benchmarks.report import ROOT, row

PARTS = ("echo", "sizes")
OURS, CORE = "Catmint, PDPIX from C", "Catmint's core"
RAW, PINGPONG, KERNEL = "libfabric alone", "fi_pingpong", "kernel"
PROGRAMS = "unmodified programs on Catmint"
BAR = 250  # ns
SIZES = tuple(64 * 4**n for n in range(9))  # 64 B to 4 MiB
LARGE, SHARE = 256 << 10, 0.83


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


def numbers(printed):
    return [float(word) for word in printed.split()]


def core(size, count):
    """Nanoseconds of each round trip, without PDPIX."""
    argv = [sys.executable, "-m", "benchmarks.fabric_end"]
    words = [str(size), str(count)]
    return json.loads(talk([*argv, "pong", *words], lambda port: [*argv, "ping", *words, port]))


def ours(program, size, count):
    """The same by the C face of PDPIX: push, wait, pop, wait, buffers allotted and freed."""
    port = str(free_port())
    client = [program, "client", port, str(count), str(size), "--catmint"]
    return numbers(talk([program, "server", port, str(size), "--catmint"], lambda _: client))


def alone(program, size, count):
    """The same of libfabric's own calls."""
    names = [f"bench-{os.getpid()}-{end}" for end in ("pong", "ping")]
    there, here = (f"fi_shm://{name}:{os.getuid()}:0" for name in names)
    words = [str(count), str(size)]
    ping = [program, "ping", names[1], *words, there]
    return numbers(talk([program, "pong", names[0], *words, here], lambda _: ping))


def pingpong(size, count):
    """Nanoseconds of a round trip by libfabric's own benchmark, which says the mean of all."""
    port = str(free_port())
    argv = [need("fi_pingpong", "libfabric-bin"), "-p", "shm", "-e", "rdm", "-S", str(size), "-I", str(count)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(pinned(SERVER_CORE, [*argv, "-B", port]), **quiet)
    try:
        reached(server, port)
        client = pinned(CLIENT_CORE, [*argv, "-P", port, "127.0.0.1"])
        done = subprocess.run(client, capture_output=True, text=True, timeout=120)
        server.wait(20)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    if done.returncode:
        raise SystemExit(f"catflap: fi_pingpong ended with {done.returncode}: {done.stderr.strip()}")
    return float(done.stdout.split("\n")[1].split()[6]) * 2000  # µs of a transfer, which is half a round trip


def reached(server, port):
    """Wait until the server listens, without a call of ours that it would take for its client's."""
    wanted = f":{int(port):04X} "
    for _ in range(400):
        with open("/proc/net/tcp") as file:
            lines = file.read().splitlines() + open("/proc/net/tcp6").read().splitlines()
        if any(wanted in line and line.split()[3] == "0A" for line in lines):
            return
        if server.poll() is not None:
            break
        subprocess.run(["sleep", "0.02"], check=True)
    raise SystemExit("catflap: fi_pingpong does not listen")


def echo(quick, progress, pairs):
    """A message there and back, both ends looking all the time. What a message costs is half of what is added to it."""
    raw, face = compiled("fabric", "fabric", "-Wl,--no-as-needed", "-lfabric"), built()
    count = 2_000 if quick else 200_000
    rows = []
    for size in (64, 1024):
        progress(f"echo of {size} B")
        measures = {
            OURS: lambda s=size: ours(face, s, count),
            CORE: lambda s=size: core(s, count),
            RAW: lambda s=size: alone(raw, s, count),
        }
        found = interleaved({side: lambda m=measure: percentiles(m()) for side, measure in measures.items()}, pairs)
        values = {(side, name): [p[name] for p in runs] for side, runs in found.items() for name in ("p50", "p99")}
        for name in ("p50", "p99"):
            base = values[RAW, name]
            for side in (OURS, CORE):
                mine = values[side, name]
                rows.append(row(f"echo of {size} B over shm, {side}, {name}", "ns", mine, ratio=quotient(mine, base)))
            rows.append(row(f"echo of {size} B over shm, {RAW}, {name}", "ns", base))
        for side in (OURS, CORE):
            added = [(a - b) / 2 for a, b in zip(values[side, "p50"], values[RAW, "p50"], strict=True)]
            verdict = {}
            if side == OURS and size == 64:
                verdict = {"bar": f"≤ {BAR} ns", "met": statistics.median(added) <= BAR}
            rows.append(row(f"added to a message of {size} B, push and pop: {side}", "ns", added, **verdict))
    return rows


def sizes(quick, progress, pairs):
    """p50 of a round trip against its size; of fi_pingpong the mean, which is all that it says."""
    raw, face = compiled("fabric", "fabric", "-Wl,--no-as-needed", "-lfabric"), built()
    rows = []
    for size in (SIZES[0], LARGE) if quick else SIZES:
        progress(f"echo of {size:,} B")
        count = 50 if quick else max(200, min(20_000, (256 << 20) // size))
        sides = {
            OURS: lambda s=size, n=count: percentiles(ours(face, s, n)),
            RAW: lambda s=size, n=count: percentiles(alone(raw, s, n)),
            PINGPONG: lambda s=size, n=count: dict.fromkeys(("p50", "p99"), pingpong(s, n)),
            PROGRAMS: lambda s=size, n=count: percentiles(conversation("echo", "catmint", s, n // 4, "block")),
            KERNEL: lambda s=size, n=count: percentiles(conversation("echo", "kernel", s, n // 4, "spin")),
        }
        found = interleaved(sides, pairs)
        p50 = {side: [p["p50"] for p in runs] for side, runs in found.items()}
        for side, values in p50.items():
            title = f"echo of {size:,} B, {side}, " + ("mean" if side == PINGPONG else "p50")
            rows.append(point("messages, p50", side, size, title, "ns", values))
            bytes_a_second = [2 * size / value * 1e9 for value in values]
            title = f"{size:,} B there and back, {side}"
            rows.append(point("messages, bandwidth", side, size, title, "B/s", bytes_a_second))
        p99 = {side: [p["p99"] for p in runs] for side, runs in found.items() if side != PINGPONG}
        for side, values in p99.items():
            ratio = quotient(values, p99[RAW])
            rows.append(row(f"echo of {size:,} B, {side}, p99", "ns", values, ratio=ratio))
        share = quotient(p50[PINGPONG], p50[OURS])
        verdict = {"bar": f"≥ {SHARE} of {PINGPONG}'s", "met": share >= SHARE} if size == LARGE else {}
        bandwidth = [2 * size / value * 1e9 for value in p50[OURS]]
        rows.append(row(f"bandwidth by messages of {size:,} B, {OURS}", "B/s", bandwidth, ratio=share, **verdict))
    return rows


RUNS = {"echo": echo, "sizes": sizes}
main = command(run, "Catmint over libfabric", PARTS, plots.draw)

if __name__ == "__main__":
    main()
