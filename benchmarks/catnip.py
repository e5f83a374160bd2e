"""`python -m benchmarks catnip`: unmodified C programs on Catnip, two hosts of a segment, against the kernel."""

import os

from benchmarks.conversation import conversation, lines
from benchmarks.pairs import compared, interleaved, limited, percentiles
from benchmarks.programs import CLIENT_CORE, Server, compiled, free_port, pinned
from benchmarks.report import row
from libos.devices.segment import Segment

PAIRS = 5
SERVER, CLIENT = "10.77.1.1", "10.77.1.2"
LINE, OURS, SPINNING, FOUND = "cache line", "Catnip", "kernel, spinning", "kernel, blocking"
MTUS = ((1500, 8), (9000, 16))  # and the bar, Gbit/s
MTU_BYTES = 1 << 30


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


def run(quick, progress, pairs=PAIRS):
    pairs = min(pairs, 2) if quick else pairs
    return echo(quick, progress, pairs) + datagrams(quick, progress, pairs) + bulk(quick, progress, pairs)


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
