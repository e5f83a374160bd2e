"""One stream over a path that loses and delays: between two hosts of Catnip, and between two of Linux (CUBIC).

Both sides meet the same seeds turn and turn about (goodput_path.py has the path). Needs root and TAP devices.
"""

import json
import subprocess
import sys

from benchmarks.pairs import gathered, interleaved
from benchmarks.report import ROOT, row

SEEDS = 20
LOSS, DELAY, OCTETS = 0.01, 10, 4_000_000  # a chance and ms, each way
BAR = 0.9  # of Linux' goodput


def run(quick, progress):
    return gathered({"goodput": lambda: compared(1 if quick else SEEDS, 100_000 if quick else OCTETS, progress)})


def compared(seeds, octets, progress):
    waiting = {side: iter(range(seeds)) for side in ("catnip", "linux")}

    def goodput(side):
        seed = next(waiting[side])
        progress(f"goodput of {side} with seed {seed}")
        return measured(side, seed, octets)

    found = interleaved({side: lambda s=side: goodput(s) for side in waiting}, seeds)
    made = row(
        f"goodput at {LOSS:.0%} loss and {DELAY} ms each way", "bit/s", found["catnip"], kernel=found["linux"],
        bar=f"≥ {BAR}", note=f"median of {seeds} seeds, {octets:,} B each, offloads off",
    )  # fmt: skip
    return [made | {"met": made["ratio"] >= BAR}]


def measured(side, seed, octets):
    """Bits a second of one stream. Raises SystemExit."""
    words = ["unshare", "-m", "-n", sys.executable, "-m", "benchmarks.goodput_path"]
    words += [side, *(str(word) for word in (seed, octets, LOSS, DELAY))]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise SystemExit(f"catflap: no stream over the path: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    return found["octets"] * 8 / found["seconds"]
