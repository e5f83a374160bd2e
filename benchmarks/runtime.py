"""Scheduler, heap, qtokens and in-memory queues."""

import json
import os
import subprocess
import sys
import tempfile
import time

import libos.mode
from benchmarks.native import loops
from benchmarks.programs import on_one_core
from benchmarks.report import ROOT, row
from libos.pdpix import LibOS


def run(quick, progress):
    with on_one_core():
        return measured(quick, progress)


def measured(quick, progress):
    blocks = 20
    count = 2_000 if quick or libos.mode.pure() else 200_000
    progress("scheduler")
    # the scheduler and the loop are what is compiled; coroutines are the application's, compiled or not
    switches = loops.switches(10_000, count, blocks)
    rows = [row("scheduler: wake and run the next of 10,000", "ns", switches, **judged(switches, 100))]
    rows.append(row("scheduler: the same, async def", "ns", loops.switches(10_000, count, blocks, loops.blocked_async)))
    if not libos.mode.pure():
        rows.append(interpreted())
    progress("heap")
    for size in (64, 1024, 4096, 65536):
        values = loops.allocations(size, count, blocks)
        bar = judged(values, 60) if size == 4096 else {}
        rows.append(row(f"heap: alloc and free of {size:,} B", "ns", values, **bar))
    progress("qtokens")
    rows.append(row("qtoken: block, complete, take", "ns", loops.tokens(count, blocks)))
    rows.append(row("in-memory queue: push, pop, wait", "ns", memory_queue(500 if quick else 5_000, blocks)))
    return rows


def judged(values, limit):
    """The bar of a figure; it is for compiled mode."""
    return {} if libos.mode.pure() else {"bar": f"≤ {limit}", "met": min(values) <= limit}


def interpreted():
    """The scheduler's figure of a run in interpreted mode."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "figures.json")
        argv = [sys.executable, "-m", "benchmarks", "--quick", "--json", path, "runtime"]
        subprocess.run(argv, cwd=ROOT, env=os.environ | {"CATFLAP_PURE": "1"}, capture_output=True, timeout=120,
                       check=True)  # fmt: skip
        with open(path) as f:
            made = json.load(f)["rows"][0]
    return made | {"name": "scheduler: the same, interpreted"}


def memory_queue(count, blocks):
    """Nanoseconds to hand one array through queue(), from Python."""
    system = LibOS()
    qd = system.queue()
    found = []
    for _ in range(blocks):
        start = time.perf_counter_ns()
        for _ in range(count):
            system.wait(system.push(qd, sga := system.sgaalloc(64)))
            system.sgafree(system.wait(system.pop(qd)).sga)
            system.sgafree(sga)
        found.append((time.perf_counter_ns() - start) / count)
    return found
