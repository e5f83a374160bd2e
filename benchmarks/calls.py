"""What one call costs: trap, crossing into compiled Python, POSIX layer, PDPIX queue, kernel; and on threads."""

import collections
import os
import shutil
import statistics
import subprocess

from benchmarks.native import loops
from benchmarks.programs import environment
from benchmarks.report import ROOT, row
from setup import PRELOAD_SOURCES

FOLDER = os.path.join(ROOT, "build", "benchmarks")


def harness():
    """Path of the C program; our packages are linked into place where the preload's sources look for them."""
    place = os.path.join(FOLDER, "interpose")
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    for name in os.listdir(os.path.join(ROOT, "interpose")):
        os.symlink(os.path.join(ROOT, "interpose", name), os.path.join(place, name))
    package = os.path.join(FOLDER, "libos")
    if not os.path.islink(package):
        os.symlink(os.path.join(ROOT, "libos"), package)
    csrc = os.path.join(ROOT, "csrc")
    sources = [os.path.join(csrc, name) for name in PRELOAD_SOURCES]
    sources.append(os.path.join(ROOT, "benchmarks", "c", "calls.c"))
    target = os.path.join(place, "calls")
    flags = ["-O2", "-g", "-std=gnu11", "-fno-strict-aliasing", f"-I{csrc}", "-pthread"]
    subprocess.run([os.environ.get("CC", "gcc"), *flags, "-o", target, *sources, "-ldl"], check=True)
    return target


def measured(quick):
    """{figure: [one number per block]} of the C program."""
    env = environment("kernel") | {"CATFLAP_LIBOS": "catnap"}
    done = subprocess.run([harness(), *(["--quick"] if quick else [])], env=env, stdout=subprocess.PIPE, text=True,
                          timeout=600, check=True)  # fmt: skip
    figures = collections.defaultdict(list)
    for line in done.stdout.splitlines():
        name, value = line.split()
        figures[name].append(float(value))
    return figures


def run(quick, progress):
    progress("calls")
    f = measured(quick)
    best = {name: min(values) for name, values in f.items()}
    rows = [
        row(
            "trap, not ours, over a stub",
            "ns",
            f["trap_not_ours"],
            bar="≤ 5",
            met=best["trap_not_ours"] <= 5,
            note=f"the stub alone {best['stub']:.2f} ns",
        ),  # fmt: skip
        crossing("empty operation, nogil", f["nogil"], f["getppid"], 30, 0.2),
        crossing("empty operation, GIL", f["gil"], f["getppid"], 100, 0.55),
        row("getppid", "ns", f["getppid"]),
    ]
    rows += split(f, best, quick, progress)
    for name, title in (("probes", "empty operations"), ("receives", "recv without data")):
        one, two, twelve = (statistics.median(f[f"{name}_{n}"]) for n in (1, 2, 12))
        rows.append(row(f"{title}, 2 threads / 1", "operations/s", f[f"{name}_2"], ratio=two / one, bar="≥ 1.5",
                        met=two / one >= 1.5))  # fmt: skip
        rows.append(row(f"{title}, 12 threads / 2", "operations/s", f[f"{name}_12"], ratio=twelve / two, bar="≥ 0.9",
                        met=twelve / two >= 0.9))  # fmt: skip
    return rows


def crossing(name, values, getppid, ns, share):
    """Trap, compiled Python and back: in nanoseconds, or as a share of a system call of the same run."""
    ratio = min(values) / min(getppid)
    return row(name, "ns", values, ratio=ratio, bar=f"≤ {ns} or ≤ {share} of getppid",
               met=min(values) <= ns or ratio <= share)  # fmt: skip


def split(f, best, quick, progress):
    """The shares of one non-blocking recv(2) that finds nothing, by differences between the layers."""
    progress("calls: the queue alone")
    inner = loops.pops(20_000 if quick else 400_000, 4 if quick else 24)
    queue = min(inner["queue"]) - min(inner["kernel"])
    parts = {
        "trap": best["trap_not_ours"] - best["stub"],
        "crossing (enter, call, leave)": best["nogil"] - (best["trap_not_ours"] - best["stub"]),
        "PDPIX queue": queue,
        "POSIX layer": best["entry_eagain"] - best["kernel_eagain"] - queue,
        "kernel": best["kernel_eagain"],
        "all": best["recv_eagain"],
    }
    rows = [row(f"recv of nothing: {name}", "ns", [max(0.0, value)]) for name, value in parts.items()]
    rows.append(row("64 B sent and received", "ns", f["send_recv"], kernel=f["kernel_send_recv"]))
    return rows
