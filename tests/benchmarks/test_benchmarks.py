"""Each benchmark works and says where and in which mode its figures were taken. How fast it is, no test judges."""

import json
import os
import subprocess
import sys

import catmints
import pytest

import libos.mode
from benchmarks import redis, report

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.mark.skipif(libos.mode.pure(), reason="benchmarks measure the compiled data path")
@pytest.mark.parametrize(
    "name", ["calls", "runtime", "pdpix", "startup", "echo", "redis", "segment", "fabric", "catmint"]
)
def test_quick_run_writes_rows(tmp_path, name):
    if name in ("fabric", "catmint"):
        catmints.made("catmint-shm").shut()  # skipped here where there is none
    path = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", str(path), name],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "not to be quoted" in done.stdout
    document = json.loads(path.read_text())
    assert document["mode"] == "compiled" and document["machine"]["cpu"] and document["machine"]["cores"] > 0
    assert document["rows"]
    for row in document["rows"]:
        assert row["mode"] == ("interpreted" if "interpreted" in row["name"] else "compiled"), row
        assert row["machine"] and row["minimum"] <= row["median"] and row["unit"] and row["blocks"] > 0, row


def test_a_row_compares_with_the_kernel_of_the_same_run():
    row = report.row("x", "ns", [3, 1, 2], kernel=[4, 4, 8])
    assert (row["minimum"], row["median"], row["kernel_median"], row["ratio"]) == (1, 2, 4, 0.5)


def test_interval_of_a_ratio():
    mean, low, high = redis.interval([(100, 95), (100, 97), (200, 192), (50, 48)])
    assert 0.95 < mean < 0.97 and low < mean < high
    assert redis.interval([(10, 5), (20, 10), (30, 15)]) == pytest.approx((0.5, 0.5, 0.5))
    assert redis.interval([(10, 9)])[1] == 0
