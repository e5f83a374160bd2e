"""The inputs that fuzzing has found: nothing falls over, nothing stays behind, and both modes answer alike."""

import os
import subprocess
import sys
from pathlib import Path

import fuzz_net
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FULL = os.environ.get("FLAP_MATRIX") == "full"


@pytest.mark.parametrize("name", fuzz_net.targets())
def test_inputs(name):
    """The corpus in this mode; of a whole stack's inputs the records are looked at after each step."""
    inputs, target = fuzz_net.corpus(name), fuzz_net.make(name, True)
    assert inputs
    for data in inputs:
        target.run(data)
    target.end()


def test_an_input_that_leaves_something_behind_is_found():
    target = fuzz_net.make("tcp")
    target.run(b"")
    target.stack.host.pool.take(64)
    with pytest.raises(AssertionError, match="64 octets are lost"):
        target.end()


def test_both_modes_answer_alike():
    digests = set()
    for pure in ("", "1"):
        if not pure and not any(path.suffix == ".so" for path in (ROOT / "libos").iterdir()):
            pytest.skip("nothing is compiled here")
        env = os.environ | {"CATFLAP_PURE": pure, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, HERE / "fuzz_net.py", "digest", "all", "2000" if FULL else "20"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        mode = "interpreted" if pure else "compiled"
        assert done.stdout.count(mode) == len(fuzz_net.targets())
        digests.add(done.stdout.replace(mode, ""))
    assert len(digests) == 1
