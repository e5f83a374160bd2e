"""Rows of figures: where they were taken, how they are shown, how they are written down."""

import datetime
import json
import os
import platform
import statistics
import subprocess

from rich.console import Console
from rich.table import Table

import libos.mode

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOAD = os.getloadavg()[0]  # before the benchmarks add to it
PRELOAD = os.path.join(ROOT, "interpose", "libcatflap.so")


def row(name, unit, values, *, kernel=None, bar=None, ratio=None, met=None, note=None):
    """One figure. `values` and `kernel`: one number per block; `ratio` defaults to ours over the kernel's medians."""
    made = {"name": name, "unit": unit, "minimum": min(values), "median": statistics.median(values)}
    made["blocks"] = len(values)
    if unit.endswith("/s"):
        made["maximum"] = max(values)
    if kernel:
        made["kernel_minimum"], made["kernel_median"] = min(kernel), statistics.median(kernel)
        made["ratio"] = made["median"] / made["kernel_median"]
    if ratio is not None:
        made["ratio"] = ratio
    if bar is not None:
        made["bar"], made["met"] = bar, met
    if note:
        made["note"] = note
    return made


def percentile(values, percent):
    """The value below which `percent` of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def machine():
    """What the figures depend on."""
    model = ""
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "governor": governor(),
            "load_before": LOAD, "libc": " ".join(platform.libc_ver()), "python": platform.python_version(),
            "pinning": "one core each for client and server; loops of one thread on one core"}  # fmt: skip


def governor():
    try:
        with open("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") as f:
            return f.read().strip()
    except OSError:
        return "not shown by this machine"


def mode():
    """Asserted, not assumed: the data path is compiled, unless interpreted mode was asked for."""
    from libos import queue

    compiled = libos.mode.compiled(queue)
    assert compiled != libos.mode.pure(), "the modules are not in the mode that was asked for; run 'make build'"
    return "compiled" if compiled else "interpreted"


def document(rows):
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    facts = {"date": datetime.date.today().isoformat(), "commit": commit.stdout.strip() or None}
    facts |= {"mode": mode(), "machine": machine()}
    where = "{cpu}, {cores} cores, {kernel}".format(**facts["machine"])
    return facts | {"rows": [{"mode": facts["mode"], "machine": where} | r for r in rows]}


def write(path, rows):
    with open(path, "w") as f:
        json.dump(document(rows), f, indent=1)
        f.write("\n")


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def title(what, quick):
    """The head of a table: what it shows, in which mode, and what speaks against quoting it."""
    doubts = [", quick: not to be quoted"] if quick else []
    if LOAD > 0.5:
        doubts.append(f"; others were at work on this machine (load {LOAD:.1f})")
    return f"{what}, {mode()}" + "".join(doubts)


def show(rows, title):
    """A table on the terminal; points of curves are left to plots.py."""
    table = Table(title=title)
    for column, justify in (("figure", "left"), ("median", "right"), ("minimum", "right"), ("unit", "left"),
                            ("kernel", "right"), ("ratio", "right"), ("bar", "left"), ("", "left")):  # fmt: skip
        table.add_column(column, justify=justify)
    for r in (r for r in rows if "chart" not in r and "failure" not in r):
        verdict = "" if "met" not in r else "[green]met[/green]" if r["met"] else "[yellow]missed[/yellow]"
        ratio = f"{r['ratio']:.3g}" if "ratio" in r else ""
        table.add_row(r["name"], number(r["median"]), number(r["minimum"]), r["unit"], number(r.get("kernel_median")),
                      ratio, r.get("bar", ""), verdict)  # fmt: skip
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table)
    for r in rows:
        if "failure" in r:
            console.print(f"[red]{r['name']} failed:[/red] {r['failure']}")
