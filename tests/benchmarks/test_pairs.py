"""The benchmarks against the kernel work in all their parts, and their arithmetic says what it claims to."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

import libos.mode
from benchmarks import connections, latency, memory, pairs, plots, report, services

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAMPLE = ("echo", "redis", "short", "threads")  # the others in a full matrix
PARTS = [
    (m, part)
    for m in (latency, services, connections)
    for part in m.PARTS
    if part in SAMPLE or os.environ.get("FLAP_MATRIX") == "full"
]


@pytest.mark.skipif(libos.mode.pure(), reason="benchmarks measure the compiled data path")
@pytest.mark.parametrize("module, part", PARTS, ids=lambda v: v if isinstance(v, str) else v.__name__.split(".")[1])
def test_quick_run_of_a_part_writes_rows(tmp_path, module, part):
    path = tmp_path / "figures.json"
    argv = [sys.executable, "-m", module.__name__, part, "--quick", "--json", str(path)]
    if module is latency:
        argv += ["--plots", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not to be quoted" in done.stdout
    document = json.loads(path.read_text())
    assert document["rows"] and document["machine"]["cpu"]
    for row in document["rows"]:
        assert row["minimum"] <= row["median"] and row["unit"] and row["blocks"] > 0, row
        assert module is not services or (row["settings"] and all(row["programs"])), row
    pictures = {"sizes": ["latency.png"], "streams": ["throughput.png"]}.get(part, [])
    assert sorted(p.name for p in tmp_path.glob("*.png")) == pictures
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in tmp_path.glob("*.png"))


def test_sides_take_turns():
    order = []
    found = pairs.interleaved({side: lambda s=side: order.append(s) or len(order) for side in "ABC"}, 3)
    assert "".join(order) == "ABCCBAABC"
    assert found == {"A": [1, 6, 7], "B": [2, 5, 8], "C": [3, 4, 9]}


def test_a_ratio_is_of_each_round_and_says_how_many_times_better():
    times = pairs.compared("x", "ns", [1, 2, 10], [10, 40, 20], bar=10)
    assert times["ratio"] == 10 and times["met"]
    rates = pairs.compared("x", "requests/s", [10, 40, 20], [1, 2, 10], bar=11)
    assert rates["ratio"] == 10 and not rates["met"]
    assert pairs.limited("x", "ns", [4, 8], [2, 4], 1.9, "y")["met"] is False


def test_percentiles_of_a_run():
    assert pairs.percentiles(range(1000, 0, -1)) == {"p50": 501, "p99": 991, "p99.9": 1000}


def test_a_part_that_fails_is_a_row_and_the_others_go_on():
    def fails():
        raise SystemExit("catflap: no such thing")

    rows = pairs.gathered({"bad": fails, "good": lambda: [report.row("x", "ns", [1])]})
    assert rows[0] == {"name": "bad", "failure": "catflap: no such thing"} and rows[1]["median"] == 1
    report.show(rows, "a table that a failure does not break")


def test_cores_are_kept_awake_and_left():
    """Spinners of the lowest class are there meanwhile, one on each core, and gone afterwards."""

    def spinners():
        found = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
        return [p for p in found if os.sched_getscheduler(p.pid) == os.SCHED_IDLE]

    with pairs.awake():
        limit = time.monotonic() + 20
        while len(spinners()) < min(os.cpu_count(), 2) and time.monotonic() < limit:
            time.sleep(0.01)  # each of them first has to run
        cores = [tuple(os.sched_getaffinity(p.pid)) for p in spinners()]
        assert sorted(cores) == [(0,), (1,)][: os.cpu_count()]
    assert not spinners()


def test_memory_of_a_process_counts_what_it_takes():
    before = memory.taken([os.getpid()])
    taken = bytearray(os.urandom(1)) * (64 << 20)
    time.sleep(0.1)
    grown = memory.taken([os.getpid()])["private"] - before["private"]
    assert 60 << 10 < grown < 80 << 10, len(taken)


def test_curves_are_of_the_rows_that_are_points():
    point = {"chart": "echo, p50", "series": "Catloop", "x": 64}
    rows = [
        report.row("a", "ns", [2]) | point,
        report.row("b", "ns", [3]),
        report.row("c", "ns", [9]) | point | {"x": 256},
    ]
    assert plots.curves(rows) == {"echo, p50": {"Catloop": [(64, 2, "ns"), (256, 9, "ns")]}}
