"""`python -m benchmarks.services`: programs with both ends under Catloop, and on the kernel, as found and awake."""

import functools
import os
import re
import shutil
import subprocess
import tempfile
import time

import psutil

from benchmarks import redis, servers
from benchmarks.command import command
from benchmarks.pairs import PAIRS, compared, gathered, interleaved, kept_awake, percentiles
from benchmarks.report import row

FOUND, AWAKE, OURS = "kernel", "kernel, cores awake", "Catloop"
PARTS = tuple(servers.SETTINGS)


def sides(running, ask):
    """{side: measure} of `ask(port, libos)` for a server that runs on both sides."""

    def found():
        return ask(running["kernel"][0], "kernel")

    return {OURS: lambda: ask(running["catloop"][0], "catloop"), AWAKE: lambda: kept_awake(found), FOUND: found}


def rows_of(name, unit, found, bars=(None, None)):
    """Rows against the kernel as found and kept awake; `bars` in that order."""
    return [compared(f"{name}, against {side}", unit, found[OURS], found[side], bar)
            for side, bar in zip((FOUND, AWAKE), bars, strict=True)]  # fmt: skip


def by_percentile(found):
    """{percentile: {side: values}} of rounds that answered percentiles."""
    return {name: {side: [f[name] for f in runs] for side, runs in found.items()} for name in ("p50", "p99")}


def run_redis(quick, progress, pairs):
    rows = []
    with servers.both(redis.server) as running:
        for clients, requests, bars in ((1, 60_000, (5, 4)), (50, 150_000, (3, None))):
            progress(f"redis, {clients} client{'s'[: clients - 1]}")
            count = 500 if quick else requests
            ask = functools.partial(redis.ask, requests=count, clients=clients, pipeline=1)
            measures = sides(running, lambda port, libos, ask=ask: ask(port, libos=libos))
            for measure in measures.values():  # warm
                measure()
            found = interleaved(measures, pairs)
            for test in redis.TESTS:
                one = {side: [r[test] for r in runs] for side, runs in found.items()}
                judged = bars if test == "GET" else (None, None)
                rows += rows_of(f"redis {test}, {clients} client{'s'[: clients - 1]}", "requests/s", one, judged)
        progress("redis: Catflap's own share")
        return rows + own_share(running["catloop"], 2_000 if quick else 300_000)


def own_share(running, requests):
    """The part of a busy server's processor time that is spent in our code; no rows where perf is missing."""
    port, server = running
    if not shutil.which("perf"):
        return []
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        argv = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-o", data, "-p", str(server.process.pid)]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recorder:
            time.sleep(0.5)  # until it records
            before = sum(psutil.Process(server.process.pid).cpu_times()[:2])
            redis.ask(port, requests, 50, 1, "catloop")
            spent = sum(psutil.Process(server.process.pid).cpu_times()[:2]) - before
            recorder.send_signal(2)
            recorder.wait(30)
        report = ["perf", "report", "-i", data, "--stdio", "--no-children", "-s", "dso", "-F", "overhead,dso"]
        text = subprocess.run(report, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    shares = {dso: float(percent) for percent, dso in re.findall(r"^\s*([\d.]+)%\s+(\S+)", text, re.M)}
    if not shares:
        return []
    ours = sum(p for dso, p in shares.items() if re.match(r"libcatflap|libpython|.*\.cpython-", dso))
    note = ", ".join(f"{dso} {percent:.1f} %" for dso, percent in list(shares.items())[:6])
    each = spent * 1e9 / (2 * requests) * ours / 100
    return [
        row("redis, 50 clients: Catflap's share of the server's time", "%", [ours], note=note),
        row("redis, 50 clients: Catflap's time of a request, its waiting included", "ns", [each]),
    ]


def run_memcached(quick, progress, pairs):
    rows = []
    with servers.both(servers.memcached) as running:
        progress("memcached, 1 client")
        count = 500 if quick else 30_000
        ask = functools.partial(servers.memcached_times, clients=1, count=count)
        found = interleaved(sides(running, lambda port, libos: percentiles(ask(port, libos)[1])), pairs)
        for name, one in by_percentile(found).items():
            bars = (8, None) if name == "p50" else (None, None)
            rows += rows_of(f"memcached get, 1 client, {name}", "ns", one, bars)
        progress("memcached, 16 clients")
        ask = functools.partial(servers.memcached_times, clients=16, count=count * 4)
        found = interleaved(sides(running, lambda port, libos: ask(port, libos)[0]), pairs)
        return rows + rows_of("memcached get, 16 clients", "requests/s", found, (2, None))


def simple(start, ask, title, unit, bar):
    """The run of a program with one figure."""

    def measured(quick, progress, pairs):
        progress(title)
        with servers.both(start) as running:
            found = interleaved(sides(running, lambda port, libos: ask(port, libos, 1 if quick else 2)), pairs)
        return rows_of(title, unit, found, (bar, None))

    return measured


def run_postgres(quick, progress, pairs):
    reason = servers.unreadable()
    if reason:
        progress(f"postgres left out: {reason}")
        return []
    rows = []
    with servers.both(servers.postgres) as running:
        # the second forks a process for each connection
        for title, options, bar in (
            ("pgbench -S, 1 client", (), None),
            ("pgbench -S -C: connect, query, close", ("-C",), 0.95),
        ):
            progress(title)
            ask = functools.partial(pgbench_rate, seconds=1 if quick else 2, options=options)
            rows += rows_of(title, "transactions/s", interleaved(sides(running, ask), pairs), (bar, None))
    return rows


def pgbench_rate(port, libos, seconds, options):
    return servers.postgres_rate(port, libos, seconds, *options)


def run_asyncio(quick, progress, pairs):
    progress("asyncio")
    rows = []
    with servers.both(servers.asyncio) as running:
        count = 200 if quick else 8_000
        ask = sides(running, lambda port, libos: percentiles(servers.asyncio_times(port, libos, count)))
        for name, one in by_percentile(interleaved(ask, pairs)).items():
            bars = (1.5, None) if name == "p50" else (None, None)
            rows += rows_of(f"asyncio echo 64 B, {name}", "ns", one, bars)
    return rows


RUNS = {
    "redis": run_redis,
    "memcached": run_memcached,
    "nginx": simple(servers.nginx, servers.nginx_rate, "nginx and wrk, 1 KB, 16 connections", "requests/s", 2),
    "iperf3": simple(servers.iperf3, servers.iperf3_rate, "iperf3, one stream", "B/s", 2.5),
    "postgres": run_postgres,
    "asyncio": run_asyncio,
}
VERSIONS = {
    "redis": ("redis-server",),
    "memcached": ("memcached",),
    "nginx": ("nginx", "wrk"),
    "iperf3": ("iperf3",),
    "postgres": ("postgres",),
    "asyncio": ("python",),
}


def run(quick, progress, pairs=PAIRS, parts=PARTS):
    def part_of(part):
        return [r | facts(part) for r in RUNS[part](quick, progress, 1 if quick else pairs)]

    return gathered({part: functools.partial(part_of, part) for part in parts})


def facts(part):
    """What is written down beside the figures of a program."""
    return {"programs": [servers.version(p) for p in VERSIONS[part]], "settings": servers.SETTINGS[part]}


main = command(run, "Services under Catloop", PARTS)

if __name__ == "__main__":
    main()
