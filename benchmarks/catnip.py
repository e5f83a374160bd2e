"""`python -m benchmarks catnip`: unmodified C programs on Catnip, two hosts of a segment, against the kernel; and what
connections cost that nobody uses, of these and of programs written for PDPIX.
"""

import contextlib
import functools
import os
import subprocess
import sys
import time

from benchmarks import memory
from benchmarks.command import command
from benchmarks.connections import client_of, heard, room_for, share
from benchmarks.conversation import conversation, lines
from benchmarks.pairs import compared, gathered, interleaved, limited, percentiles
from benchmarks.programs import CLIENT_CORE, SERVER_CORE, Server, compiled, free_port, pinned
from benchmarks.report import ROOT, row
from libos.devices.segment import Segment

PAIRS = 5
SERVER, CLIENT = "10.77.1.1", "10.77.1.2"
LINE, OURS, SPINNING, FOUND = "cache line", "Catnip", "kernel, spinning", "kernel, blocking"
MTUS = ((1500, 8), (9000, 16))  # and the bar, Gbit/s
MTU_BYTES = 1 << 30
RESTING = 3  # seconds after which rings have gone back


class Network:
    """A segment that is there as long as we are; hosts come to it."""

    def __init__(self, mtu=1500):
        self.name = f"bench-{os.getpid()}-{mtu}"
        self.segment = Segment(self.name, mtu=mtu)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.segment.close()

    def host(self, address):
        return {"CATFLAP_DEVICE": f"segment:{self.name}", "CATFLAP_ADDRESSES": f"{address}/16"}

    def conversation(self, name, *words):
        """The numbers that the client of benchmarks/c/`name`.c prints, its server another host, on the other core."""
        program, port = compiled(name, name), free_port()
        with Server([program, "server", f"0.0.0.0:{port}"], "catnip", port, settings=self.host(SERVER)):
            argv = [program, "client", f"{SERVER}:{port}", *(str(w) for w in words)]
            return lines(pinned(CLIENT_CORE, argv), "catnip", settings=self.host(CLIENT))


def there_and_back(name, quick, pairs, **more):
    """Percentiles of 64 B there and back by benchmarks/c/`name`.c on each side, and of `more`."""
    count = 300 if quick else 20_000
    with Network() as network:
        measures = {
            OURS: lambda: network.conversation(name, 64, count, "block"),
            SPINNING: lambda: conversation(name, "kernel", 64, count, "spin"),
            FOUND: lambda: conversation(name, "kernel", 64, count, "block"),
            **more,
        }
        found = interleaved({side: lambda m=measure: percentiles(m()) for side, measure in measures.items()}, pairs)
    return {side: {name: [p[name] for p in runs] for name in runs[0]} for side, runs in found.items()}


def datagrams(quick, progress, pairs):
    """64 B there and back in a datagram each."""
    progress("echo of datagrams of 64 B on Catnip")
    f = there_and_back("datagrams", quick, pairs)
    rows = [row("datagrams 64 B, Catnip, p99", "ns", f[OURS]["p99"])]
    for side, bar in ((SPINNING, 3), (FOUND, 20)):
        rows.append(compared(f"datagrams 64 B, Catnip, p50, against {side}", "ns", f[OURS]["p50"], f[side]["p50"], bar))
    return rows


def echo(quick, progress, pairs):
    """64 B there and back."""
    progress("echo of 64 B on Catnip")
    limits = [compiled("limits", "limits"), "line", "100" if quick else "2000"]
    f = there_and_back("echo", quick, pairs, **{LINE: lambda: lines(limits)})
    ours = f[OURS]
    rows = [row("echo 64 B, Catnip, p99", "ns", ours["p99"])]
    rows.append(limited("echo 64 B, Catnip, p50, against a cache line", "ns", ours["p50"], f[LINE]["p50"], 14, LINE))
    for side, bar in ((SPINNING, 4), (FOUND, 25)):
        rows.append(compared(f"echo 64 B, Catnip, p50, against {side}", "ns", ours["p50"], f[side]["p50"], bar))
    return rows


def bulk(quick, progress, pairs):
    """One stream, sender and receiver pinned to a core each."""
    rows = []
    for mtu, bar in MTUS:
        progress(f"a stream on Catnip, MTU {mtu}")
        total = (16 << 20) if quick else MTU_BYTES
        with Network(mtu) as network:
            ours = [total * 8 / network.conversation("stream", 65536, total, 1)[0] for _ in range(pairs)]
        one = row(f"stream, Catnip, MTU {mtu}", "Gbit/s", ours, bar=f"≥ {bar} Gbit/s")
        rows.append(one | {"met": one["median"] >= bar})
    return rows


@contextlib.contextmanager
def unmodified(network, n):
    """Two C programs: (their processes' numbers, the client)."""
    program, port = compiled("idle", "idle"), free_port()
    with (
        Server([program, "server", f"0.0.0.0:{port}"], "catnip", port, settings=network.host(SERVER)) as server,
        client_of(program, "catnip", f"{SERVER}:{port}", n, 1, settings=network.host(CLIENT)) as client,
    ):
        yield [server.process.pid, client.pid], client


@contextlib.contextmanager
def written_for_it(network, n):
    """The same of two programs written for PDPIX."""
    with contextlib.ExitStack() as stack:

        def host(core, *words):
            argv = pinned(core, [sys.executable, "-m", "benchmarks.catnip_end", *words])
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            process = subprocess.Popen(argv, cwd=ROOT, text=True, **pipes)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        server = host(SERVER_CORE, "server", network.name)
        client = host(CLIENT_CORE, "client", network.name, heard(server), str(n))
        yield [server.pid, client.pid], client


def idle(quick, progress, pairs):
    """Memory of each connection at its ends, and processor time of all, after a question and an answer on each."""
    n = 50 if quick else 1000
    room_for(3 * n + 1000)  # an end of its own for each, and its far end
    rows = []
    for what, ends in (("PDPIX", written_for_it), ("unmodified programs", unmodified)):
        progress(f"{n:,} idle connections, {what}")
        found = [rest(ends, n, quick) for _ in range(1 if quick else min(pairs, 3))]
        title = f"{n:,} idle connections on Catnip, {what}"
        parts = found[-1][1]
        note = "whole machine, both ends: " + ", ".join(f"{name} {kib:.1f}" for name, kib in parts.items())
        made = row(f"{title}, memory of each end", "KiB", [kib for kib, _, _ in found], bar="≤ 4 KiB", note=note)
        cpu = row(f"{title}, both ends", "% CPU", [percent for _, _, percent in found], bar="< 1 %")
        rows += [made | {"met": made["median"] <= 4}, cpu | {"met": cpu["median"] < 1}]
    return rows


def rest(ends, n, quick):
    """(KiB of an end's own memory, {part: KiB of both} of the machine's, per cent of a core) of each connection."""
    with Network() as network, ends(network, n) as (pids, client):

        def private():
            return sum(memory.fields(f"/proc/{pid}/smaps_rollup")["Private_Dirty"] for pid in pids)

        heard(client, "one")
        time.sleep(RESTING)
        before, parts = private(), memory.taken(pids)
        client.stdin.write("\n")
        client.stdin.flush()
        heard(client, "all")
        time.sleep(RESTING)
        each = (private() - before) / n / len(pids)
        parts = {name: (kib - parts[name]) / n for name, kib in memory.taken(pids).items()}
        return each, parts, share(pids, 0.5 if quick else 10)


RUNS = {"echo": echo, "datagrams": datagrams, "bulk": bulk, "idle": idle}
PARTS = tuple(RUNS)


def run(quick, progress, pairs=PAIRS, parts=PARTS):
    pairs = min(pairs, 2) if quick else pairs
    return gathered({part: functools.partial(RUNS[part], quick, progress, pairs) for part in parts})


main = command(run, "Catnip", PARTS)

if __name__ == "__main__":
    main()
