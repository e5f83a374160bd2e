"""Curves of the rows that are points of one: as bars on the terminal, and as pictures."""

import math
import os

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from benchmarks.report import number

PICTURES = {
    "latency.png": ("echo, p50",),
    "throughput.png": ("stream, by size", "stream, by connections"),
    "messages.png": ("messages, p50", "messages, bandwidth"),
    "devices.png": ("devices, p50", "devices, by size"),
}
AXES = {
    "echo, p50": ("bytes there and back", "ns, median round trip"),
    "stream, by size": ("bytes of a write", "B/s"),
    "messages, p50": ("bytes of a message there and back", "ns, median round trip"),
    "messages, bandwidth": ("bytes of a message there and back", "B/s"),
    "devices, p50": ("bytes there and back", "ns, median round trip"),
    "devices, by size": ("bytes of a message there and back", "B/s, each way"),
    "stream, by connections": ("connections, writes of 16 KiB", "B/s"),
}


def curves(rows):
    """{chart: {series: [(x, median, unit)]}} in the order of the rows."""
    found = {}
    for r in rows:
        if "chart" in r:
            series = found.setdefault(r["chart"], {}).setdefault(r["series"], [])
            series.append((r["x"], r["median"], r["unit"]))
    return found


def draw(rows, folder=None):
    """Show every curve on the terminal; with a folder, draw the pictures too."""
    found = curves(rows)
    console = Console(width=None if Console().is_terminal else 120)
    for chart, series in found.items():
        console.print(bars(chart, series))
    if folder:
        for name, charts in PICTURES.items():
            if any(chart in found for chart in charts):
                picture(os.path.join(folder, name), {c: found[c] for c in charts if c in found})


def bars(chart, series):
    """A table with a bar for each point, of logarithmic length."""
    values = [value for points in series.values() for _, value, _ in points]
    low = math.log(min(values)) - 0.5
    high = math.log(max(values))
    table = Table(title=f"{chart} (bars are logarithmic)", box=None)
    for column, justify in ((AXES[chart][0], "right"), ("", "left"), (AXES[chart][1], "right"), ("", "left")):
        table.add_column(column, justify=justify)
    for turn, points in enumerate(zip(*series.values(), strict=True)):
        for (x, value, _), name in zip(points, series, strict=True):
            first = name == next(iter(series))
            if first and turn:
                table.add_section()
            bar = Bar(high - low, 0, math.log(value) - low, width=40, color="green" if first else "blue")
            table.add_row(f"{x:,}" if first else "", name, number(value), bar)
    return table


def picture(path, charts):
    """One PNG, a panel for each chart, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(charts), figsize=(7 * len(charts), 4.5), squeeze=False)
    for panel, (chart, series) in zip(panels[0], charts.items(), strict=True):
        for name, points in series.items():
            panel.plot([p[0] for p in points], [p[1] for p in points], marker="o", label=name)
        panel.set(xscale="log", yscale="log", title=chart, xlabel=AXES[chart][0], ylabel=AXES[chart][1])
        panel.set_xscale("log", base=2)
        panel.grid(alpha=0.3)
        panel.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
