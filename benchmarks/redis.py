"""redis-server on the kernel and under Catflap, asked by the same redis-benchmark, in interleaved pairs."""

import contextlib
import re
import statistics
import subprocess
import tempfile

from scipy import stats

from benchmarks.programs import CLIENT_CORE, Server, free_port, need, pinned, served
from benchmarks.report import row

TESTS = ("SET", "GET")


def server(libos, port, folder):
    """A redis-server that keeps nothing."""
    words = f"--port {port} --bind 127.0.0.1 --daemonize no --dir {folder}".split()
    return Server([need("redis-server", "redis-server"), *words, "--save", ""], libos, port)


def ask(port, requests, clients, pipeline, libos="kernel"):
    """{test: requests per second} of one run of redis-benchmark, on a core of its own; on the kernel unless told."""
    argv = [need("redis-benchmark", "redis-tools"), "-h", "127.0.0.1", "-p", str(port), "-t", "set,get", "-q"]
    argv += ["-n", str(requests), "-c", str(clients), "-P", str(pipeline)]
    with served(libos) as env:
        done = subprocess.run(
            pinned(CLIENT_CORE, argv), env=env, capture_output=True, text=True, timeout=300, check=True
        )  # fmt: skip
    found = re.findall(r"(SET|GET): ([\d.]+) requests per second", done.stdout)
    assert {name for name, _ in found} == set(TESTS), done.stdout
    return {name: float(rate) for name, rate in found}


def run_pairs(pairs=10, requests=50_000, clients=50, pipeline=1, libos="catnap", progress=lambda: None):
    """Measure kernel and Catflap `pairs` times, in the order A B, B A, A B ...; both servers run throughout.

    Returns {test: [(requests per second on the kernel, under Catflap), one per pair]}. `progress()` after each run.
    """
    results = {name: [] for name in TESTS}
    with contextlib.ExitStack() as stack:
        ports = {}
        for side in ("kernel", libos):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            ports[side] = free_port()
            stack.enter_context(server(side, ports[side], folder))
        for side in ports:  # warm
            ask(ports[side], max(1000, requests // 10), clients, pipeline)
        for pair in range(pairs):
            order = ("kernel", libos) if pair % 2 == 0 else (libos, "kernel")
            rates = {}
            for side in order:
                rates[side] = ask(ports[side], requests, clients, pipeline)
                progress()
            for name in TESTS:
                results[name].append((rates["kernel"][name], rates[libos][name]))
    return results


def interval(pairs):
    """(mean, lower, upper): the ratio Catflap / kernel over pairs, with a 95 % t interval of the logarithms' mean."""
    import math

    logs = [math.log(ours / kernel) for kernel, ours in pairs]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(mean), 0.0, float("inf")
    half = stats.t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def rows_of(results, label, bar=None):
    made = []
    for name, pairs in results.items():
        mean, low, high = interval(pairs)
        note = f"95 % interval of the ratio {low:.3f} to {high:.3f}, {len(pairs)} pairs"
        met = None if bar is None else low >= bar
        made.append(
            row(
                f"redis {name}, {label}",
                "requests/s",
                [p[1] for p in pairs],
                kernel=[p[0] for p in pairs],
                ratio=mean,
                bar=None if bar is None else f"lower end ≥ {bar}",
                met=met,
                note=note,
            )  # fmt: skip
            | {"ratio_low": low, "ratio_high": high}
        )
    return made


def run(quick, progress):
    pairs, requests = (2, 2000) if quick else (14, 60_000)
    progress("redis, 50 clients")
    rows = rows_of(run_pairs(pairs, requests), "50 clients", None if quick else 0.90)
    if quick:
        return rows
    progress("redis, 1 client")
    rows += rows_of(run_pairs(10, 15_000, clients=1), "1 client")
    progress("redis, 50 clients, pipeline of 16")
    rows += rows_of(run_pairs(6, 300_000, pipeline=16), "50 clients, -P 16")
    progress("redis on auto")
    rows += rows_of(run_pairs(6, 60_000, libos="auto"), "50 clients, auto")
    return rows
