"""Differential runs: in each scenario of tap_scenarios.py a host of ours and one of Linux see what two of Linux see."""

import json
import os
import subprocess
import sys
from pathlib import Path

import flap
import pytest
import tap_scenarios

HOSTS = Path(__file__).parent / "linux_tap.py"
REASON = flap.no_tap()


@pytest.fixture(scope="module")
def seen():
    """{(other host, family): {scenario: what was seen, for each of the two roles}}; all runs at the same time."""
    runs = {}
    for kind, family in (("catnip", "4"), ("catnip", "6"), ("linux", "4"), ("linux", "6")):
        command = ["unshare", "-n", sys.executable, HOSTS, kind, family]
        environ = {**os.environ, "PYTHONPATH": str(HOSTS.parents[2])}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        runs[kind, family] = subprocess.Popen(command, env=environ, text=True, **pipes)
    try:
        said = {name: process.communicate(timeout=100) for name, process in runs.items()}
    finally:
        for process in runs.values():
            process.kill()
    assert not any(process.returncode for process in runs.values()), said
    return {name: json.loads(out) for name, (out, _) in said.items()}


@pytest.mark.skipif(bool(REASON), reason=REASON)
@pytest.mark.parametrize("family", ["4", "6"])
@pytest.mark.parametrize("scenario", tap_scenarios.SCENARIOS)
def test_the_same_is_seen(seen, scenario, family):
    assert seen["catnip", family][scenario] == seen["linux", family][scenario]


@pytest.mark.skipif(bool(REASON), reason=REASON)
def test_there_was_something_to_see(seen):
    """Streams arrive whole, whoever they go between."""
    for run in seen.values():
        assert run["transfer"] == [[True, True]] * 2 and run["zero_window"] == [True, True]
        assert run["path_mtu"] == [[True, True]] * 2 and run["small_mtu"] == [[[True, True], True]] * 2
