"""Turn and turn about: sides measured in one run, so that what disturbs the machine disturbs all of them."""

import contextlib
import os
import statistics
import subprocess
import sys
import time

from benchmarks.programs import CLIENT_CORE, SERVER_CORE
from benchmarks.report import percentile, row

PAIRS = 9
PERCENTS = {"p50": 50, "p99": 99, "p99.9": 99.9}
SPINNER = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent, end = os.getppid(), time.monotonic() + 600
while os.getppid() == parent and time.monotonic() < end:
    for _ in range(100_000):
        pass
"""


@contextlib.contextmanager
def awake():
    """Keep the cores from halting: on each, a thread that runs when nothing else would (SCHED_IDLE).

    A virtual core that halts is woken by its hypervisor, which costs more than the kernel's own work.
    """
    spinners = []
    try:
        for core in {SERVER_CORE, CLIENT_CORE} if os.cpu_count() > 1 else {SERVER_CORE}:
            spinners.append(subprocess.Popen([sys.executable, "-c", SPINNER, core]))
        time.sleep(0.15)
        assert all(s.poll() is None for s in spinners), "a core can't be kept awake"
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def kept_awake(measure):
    """What `measure()` answers while the cores are kept awake."""
    with awake():
        return measure()


def gathered(parts):
    """The rows of every part; of one that failed, a row that says so, and the others go on."""
    rows = []
    for name, measure in parts.items():
        try:
            rows += measure()
        except (SystemExit, subprocess.SubprocessError, OSError) as error:
            rows.append({"name": name, "failure": str(error)})
    return rows


def interleaved(measures, pairs):
    """{side: [what `measures[side]()` answered, one per round]}, in the order A B C, C B A, A B C ..."""
    found = {side: [] for side in measures}
    for turn in range(pairs):
        for side in list(measures)[:: 1 if turn % 2 == 0 else -1]:
            found[side].append(measures[side]())
    return found


def percentiles(values):
    """The percentiles of one run's values, by name."""
    ordered = sorted(values)
    return {name: percentile(ordered, percent) for name, percent in PERCENTS.items()}


def quotient(over, under):
    """Median of the rounds' quotients: each was taken under the same conditions."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def compared(name, unit, ours, kernel, bar=None, note=None):
    """A row whose ratio says how many times better we are: higher rates, shorter times. `bar`: at least so many."""
    ratio = quotient(ours, kernel) if unit.endswith("/s") else quotient(kernel, ours)
    verdict = {} if bar is None else {"bar": f"≥ {bar} × better", "met": ratio >= bar}
    return row(name, unit, ours, kernel=kernel, ratio=ratio, note=note, **verdict)


def limited(name, unit, ours, base, bar, of):
    """A row whose ratio says how many times `base` a figure is, which is to be at most `bar`."""
    ratio = quotient(ours, base)
    return row(name, unit, ours, ratio=ratio, bar=f"≤ {bar} × {of}", met=ratio <= bar)
