"""The kernel's TCP is the oracle of what others understand: whole streams, both families, both roles, with losses."""

import os
import subprocess
import sys
from pathlib import Path

import flap
import pytest

HELPER = Path(__file__).parent / "kernel_peer.py"
ROOT = HELPER.parents[2]


REASON = flap.no_tap()
SETTINGS = ["tcp_sack=0", "tcp_timestamps=0", "tcp_window_scaling=0", "tcp_ecn=1", "tcp_syncookies=2"]


def exchange(*arguments, setting=""):
    """What kernel_peer.py says in a namespace of its own, in which the kernel has a setting."""
    name, _, value = setting.partition("=")
    prepare = f"echo {value} > /proc/sys/net/ipv4/{name} && " if setting else ""
    return subprocess.run(
        ["unshare", "-n", "sh", "-c", f'{prepare} exec "$@"', "sh", sys.executable, HELPER, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.skipif(bool(REASON), reason=REASON)
@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_streams_with_a_kernel_that_does_without(setting, role):
    done = exchange("4", role, "200000", "0.02", setting=setting)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("whole")


@pytest.mark.skipif(bool(REASON), reason=REASON)
@pytest.mark.parametrize("family", ["4", "6"])
@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("size, loss", [("1000000", "0"), ("150000", "0.03")])
def test_streams_with_the_kernel(family, role, size, loss):
    done = exchange(family, role, size, loss)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("whole")
    if loss != "0":
        assert int(done.stdout.split()[1]) > 0
