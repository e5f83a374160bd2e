"""The benchmark of devices works: layers over a memif, and wires of the kernel's. How fast they are, no test judges."""

import os
import shutil
import subprocess

import pytest

import libos.mode
from benchmarks import devices
from libos.devices import dpdk_library

WIRES = subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(libos.mode.pure(), reason="benchmarks measure the compiled data path")
@pytest.mark.skipif(not WIRES or not shutil.which("pkg-config"), reason="no network namespace, or no libdpdk")
@pytest.mark.parametrize("part", devices.PARTS if os.environ.get("FLAP_MATRIX") == "full" else ["echo"])
def test_a_quick_run_of_a_part_makes_rows(part):
    if not os.path.exists(dpdk_library.PATH):
        pytest.skip("Catflap was built without DPDK (no libdpdk-dev)")
    rows = devices.run(True, lambda what: None, parts=[part])
    assert rows and not any("failure" in row for row in rows), rows
    assert all(row["minimum"] <= row["median"] and row["blocks"] > 0 for row in rows)
