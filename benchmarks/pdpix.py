"""PDPIX for its own sake: queues in memory by both faces, the C face on Catloop, many qtokens, fair waits."""

import ctypes
import os
import statistics
import subprocess
import time

import libos.mode
from benchmarks.pairs import percentiles
from benchmarks.programs import CLIENT_CORE, SERVER_CORE, compiled, free_port, on_one_core, pinned
from benchmarks.report import ROOT, row
from libos.pdpix import LibOS

CAPI = os.path.join(ROOT, "libos", "capi")
MANY, FEW = 1_000_000, 100


def built(name="face"):
    """Path of a program of benchmarks/c, linked with libdemikernel.so."""
    link = [f"-L{CAPI}", "-Wl,--no-as-needed", "-ldemikernel", f"-Wl,-rpath,{CAPI}"]
    return compiled(name, name, f"-I{os.path.join(CAPI, 'include')}", *link)


def numbers(path, *words, core=CLIENT_CORE):
    """What the program prints; without a core it may use all of them."""
    argv = [path, *map(str, words)]
    argv = argv if core is None else pinned(core, argv)
    return [
        float(n) for n in subprocess.run(argv, capture_output=True, text=True, timeout=300, check=True).stdout.split()
    ]


def judged(values, limit):
    """The bar of a figure; it is for compiled mode."""
    return {} if libos.mode.pure() else {"bar": f"≤ {limit} ns", "met": statistics.median(values) <= limit}


def run(quick, progress):
    path = built()
    blocks, count = (2, 2_000) if quick else (20, 200_000)
    rows = []
    progress("queues in memory")
    with on_one_core():
        from_python = by_python(count // 4, blocks)
        native, interpreted = filters(count // 4, blocks)
    rows.append(
        row("queue in memory, from Python: push, wait, pop, wait", "ns", from_python, **judged(from_python, 500))
    )
    from_c = numbers(path, "queue", count, blocks)
    rows.append(row("queue in memory, from C: push, wait, pop, wait", "ns", from_c, **judged(from_c, 200)))
    ratio = statistics.median(i / n for i, n in zip(interpreted, native, strict=True))
    rows.append(row("filter by a Python function: push, wait, pop, wait", "ns", interpreted))
    rows.append(row("filter by a native function, from Python: push, wait, pop, wait", "ns", native, ratio=ratio,
                    note="ratio: times as fast as by a Python function"))  # fmt: skip
    progress("qtokens outstanding")
    rows += tokens(path, 2_000 if quick else 100_000, 2 if quick else 10)
    progress("fairness")
    share = numbers(path, "fair", count)
    rows.append(row("64 queues, each popped again at completion: least share of 1/64", "ratio", share, bar="≥ 0.9",
                    met=share[0] >= 0.9))  # fmt: skip
    progress("threads, connections")
    rows.append(threads(path, 2_000 if quick else 100_000, 2 if quick else 10))
    rows.append(crowd(path, 200 if quick else 20_000, 2 if quick else 10))
    progress("echo over Catloop")
    return rows + [echo(path, 300 if quick else 40_000, 2 if quick else 9)]


def filters(count, blocks):
    """The same through a filter that keeps what begins with 0, by a native function and by one of Python, by turns."""
    include = f"-I{os.path.join(CAPI, 'include')}"
    keeps = ctypes.CDLL(compiled("keeps", "keeps.so", "-shared", "-fPIC", include)).keeps
    native, interpreted = [], []
    for _ in range(blocks):
        native += by_python(count, 1, lambda system, qd: system.filter(qd, keeps))
        interpreted += by_python(count // 4, 1, lambda system, qd: system.filter(qd, begins_with_0))
    return native, interpreted


def begins_with_0(sga):
    return sga.segments[0][0] == 0


def by_python(count, blocks, above=lambda system, qd: qd):
    """Nanoseconds to hand one array through queue(), and through what is made `above` it."""
    system = LibOS()
    qd = system.queue()
    out = above(system, qd)
    sga = system.sgaalloc(64)
    push, pop, wait, free = system.push, system.pop, system.wait, system.sgafree
    found = []
    for _ in range(blocks):
        start = time.perf_counter_ns()
        for _ in range(count):
            wait(push(qd, sga))
            free(wait(pop(out)).sga)
        found.append((time.perf_counter_ns() - start) / count)
    return found


def tokens(path, count, runs):
    """Nanoseconds per completion of wait_any on 64 qtokens, few or many being outstanding, turn and turn about."""
    few, many = [], []
    for _ in range(runs):
        few += numbers(path, "outstanding", FEW, count, 1)
        many += numbers(path, "outstanding", MANY, count, 1)
    ratio = statistics.median(m / f for f, m in zip(few, many, strict=True))
    return [
        row(f"wait_any of 64 qtokens, {FEW} outstanding, per completion", "ns", few),
        row(f"wait_any of 64 qtokens, {MANY:,} outstanding, per completion", "ns", many, ratio=ratio,
            bar=f"≤ 2 times as with {FEW}", met=ratio <= 2),
    ]  # fmt: skip


def threads(path, count, runs):
    """64 B from one end of a connection to the other, on Catnap: two threads against one, a connection each."""
    one, two = [], []
    for _ in range(runs):
        one += numbers(path, "threads", 1, count, "--catnap", core=None)
        two += numbers(path, "threads", 2, count, "--catnap", core=None)
    ratio = statistics.median(t / o for t, o in zip(two, one, strict=True))
    return row("64 B over a connection of its own, C face on Catnap: 2 threads", "trips/s", two, ratio=ratio,
               note=f"1 thread {statistics.median(one):.0f} trips/s")  # fmt: skip


def crowd(path, count, runs):
    """64 B to one of many connections in rings, a pop waiting at each: 1,000 connections against 2."""
    few, many = [], []
    for _ in range(runs):
        few += numbers(path, "connections", 2, count, "--catloop")
        many += numbers(path, "connections", 1_000, count, "--catloop")
    ratio = statistics.median(m / f for m, f in zip(many, few, strict=True))
    return row("64 B to one of 1,000 connections, C face on Catloop", "ns", many, ratio=ratio,
               note=f"of 2 connections {statistics.median(few):.0f} ns")  # fmt: skip


def echo(path, count, runs):
    """64 B there and back on the C face over Catloop, a core each, against a cache line's round trip."""
    limits = compiled("limits", "limits")
    ours, line = [], []
    for _ in range(runs):
        line.append(statistics.median(float(n) for n in subprocess.check_output([limits, "line", "2000"]).split()))
        port = free_port()
        argv = pinned(SERVER_CORE, [path, "server", str(port), "--catloop"])
        served = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        try:
            served.stdout.readline()
            ours.append(percentiles(numbers(path, "client", port, count, "--catloop"))["p50"])
            served.wait(10)
        finally:
            served.kill()
            served.communicate()
    ratio = statistics.median(o / n for o, n in zip(ours, line, strict=True))
    return row("echo 64 B, C face on Catloop, p50, against a cache line", "ns", ours, ratio=ratio,
               bar="≤ 5 times a cache line's round trip", met=ratio <= 5,
               note=f"cache line {statistics.median(line):.0f} ns")  # fmt: skip
