"""`python -m benchmarks.latency`: Catloop against the kernel, and both against what two cores can do at best."""

import functools

from benchmarks import plots
from benchmarks.command import command
from benchmarks.conversation import conversation, lines
from benchmarks.pairs import PAIRS, compared, gathered, interleaved, kept_awake, limited, percentiles
from benchmarks.programs import compiled
from benchmarks.report import row

PARTS = ("echo", "sizes", "streams")
SIZES = tuple(64 * 4**n for n in range(8))  # 64 B to 1 MiB
CONNECTIONS = (1, 2, 4, 16, 64)
LIMIT_LINE, LIMIT_RING, OURS, UNIX = "cache line", "bare ring", "Catloop", "Unix socket"
SPINNING, AWAKE, FOUND = "kernel, spinning", "kernel, blocking, cores awake", "kernel, blocking"
CURVES = {OURS: "catloop", FOUND: "kernel", UNIX: "unix"}  # Unix sockets are the kernel's


def run(quick, progress, pairs=PAIRS, parts=PARTS):
    pairs = min(pairs, 2) if quick else pairs
    return gathered({part: functools.partial(RUNS[part], quick, progress, pairs) for part in parts})


def echo(quick, progress, pairs):
    """64 B there and back: percentiles of every side, and what the bars are about."""
    progress("echo of 64 B")
    count = 300 if quick else 20_000
    limits = compiled("limits", "limits")
    block = functools.partial(conversation, "echo", "kernel", 64, count, "block")
    measures = {
        LIMIT_LINE: lambda: lines([limits, "line", str(max(100, count // 10))]),
        LIMIT_RING: lambda: lines([limits, "ring", str(count * 5), "64"]),
        OURS: lambda: conversation("echo", "catloop", 64, count * 5, "block"),
        SPINNING: lambda: conversation("echo", "kernel", 64, count, "spin"),
        AWAKE: lambda: kept_awake(block),
        FOUND: block,
        UNIX: lambda: conversation("echo", "unix", 64, count, "block"),
    }
    found = interleaved({side: lambda m=measure: percentiles(m()) for side, measure in measures.items()}, pairs)
    f = {side: {name: [p[name] for p in runs] for name in runs[0]} for side, runs in found.items()}
    rows = [row(f"echo 64 B, {side}, {name}", "ns", values) for side, names in f.items() if side != OURS
            for name, values in names.items()]  # fmt: skip
    ours = f[OURS]
    name = "echo 64 B, Catloop, {}, against {}".format
    rows.append(limited(name("p50", "a cache line"), "ns", ours["p50"], f[LIMIT_LINE]["p50"], 5, "cache line"))
    for side, bar in ((SPINNING, 10), (AWAKE, 25), (FOUND, 50), (UNIX, None)):
        for percent, at_least in (("p50", bar), ("p99", None)):
            rows.append(compared(name(percent, side), "ns", ours[percent], f[side][percent], at_least))
    p99 = row("echo 64 B, Catloop, p99", "ns", ours["p99"], bar="≤ 1,000 ns")
    rows.append(p99 | {"met": p99["median"] <= 1000})
    rows.append(limited(name("p99.9", "a bare ring"), "ns", ours["p99.9"], f[LIMIT_RING]["p99.9"], 2, "bare ring"))
    return rows


def point(chart, series, x, name, unit, values):
    """A row that is a point of a curve."""
    return row(name, unit, values) | {"chart": chart, "series": series, "x": x}


def sizes(quick, progress, pairs):
    """p50 of a round trip against its size."""
    rows = []
    for size in SIZES[::7] if quick else SIZES:
        progress(f"echo of {size:,} B")
        count = 50 if quick else max(200, min(8_000, (64 << 20) // size))
        found = interleaved(
            {side: lambda k=kind, s=size, n=count: percentiles(conversation("echo", k, s, n, "block"))["p50"]
             for side, kind in CURVES.items()}, pairs)  # fmt: skip
        rows += [point("echo, p50", side, size, f"echo {size:,} B, {side}, p50", "ns", values)
                 for side, values in found.items()]  # fmt: skip
    return rows


def rate(kind, size, total, connections=1):
    """Bytes per second of one stream, or of several together."""
    (took,) = conversation("stream", kind, size, total, connections)
    return total / took * 1e9


def streams(quick, progress, pairs):
    """Bytes per second against the size of the writes, and against the number of connections."""
    rows = []
    for size in SIZES[::7] if quick else SIZES:
        progress(f"stream of {size:,} B writes")
        total = min(512 << 20, size * (1_000 if quick else 200_000)) >> (6 if quick else 0)
        found = interleaved(
            {side: lambda k=kind, s=size, t=total: rate(k, s, t) for side, kind in CURVES.items()}, pairs
        )
        rows += [point("stream, by size", side, size, f"stream of {size:,} B writes, {side}", "B/s", values)
                 for side, values in found.items()]  # fmt: skip
    for n in CONNECTIONS[:2] if quick else CONNECTIONS:
        progress(f"streams over {n} connections")
        total = (4 if quick else 512) << 20
        found = interleaved({side: lambda k=kind, t=total, n=n: rate(k, 16384, t, n) for side, kind in CURVES.items()},
                            pairs)  # fmt: skip
        rows += [point("stream, by connections", side, n, f"streams of 16 KiB writes over {n}, {side}", "B/s", values)
                 for side, values in found.items()]  # fmt: skip
    return rows


RUNS = {"echo": echo, "sizes": sizes, "streams": streams}
main = command(run, "Latency and throughput", PARTS, plots.draw)

if __name__ == "__main__":
    main()
