"""`make demo`: a real redis-server under Catflap and on the kernel, side by side."""

import sys

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import redis

PAIRS, REQUESTS, CLIENTS = 6, 40_000, 50


def main():
    console = Console()
    console.print(
        "The same redis-server binary twice: on the kernel, and on Catnap inside an embedded Python interpreter."
    )
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("redis-benchmark, turn and turn about", total=2 * PAIRS)

        def step():
            progress.advance(task)
            if not console.is_terminal:
                print(".", end="", flush=True)

        results = redis.run_pairs(PAIRS, REQUESTS, CLIENTS, progress=step)
    if not console.is_terminal:
        print()
    table = Table(title=f"redis-benchmark, {CLIENTS} clients, {REQUESTS:,} requests, {PAIRS} interleaved pairs")
    for column in ("test", "kernel, requests/s", "Catflap, requests/s", "ratio", "95 % interval"):
        table.add_column(column, justify="left" if column == "test" else "right")
    for name, pairs in results.items():
        mean, low, high = redis.interval(pairs)
        kernel, ours = (sorted(p[i] for p in pairs)[len(pairs) // 2] for i in (0, 1))
        table.add_row(name, f"{kernel:,.0f}", f"{ours:,.0f}", f"{mean:.3f}", f"{low:.3f} to {high:.3f}")
    console.print(table)
    console.print("Next: catflap run --libos catnap -- PROGRAM, catflap doctor PROGRAM, make bench.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
