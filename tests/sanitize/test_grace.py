"""Descriptor table and grace periods under the thread sanitizer, without a host: see grace.c."""

import os
import shutil
import subprocess

import flap
import pytest

from interpose import traps

HERE = os.path.dirname(os.path.abspath(__file__))
CSRC = os.path.join(flap.ROOT, "csrc")


def ended(tmp_path, *flags, rounds=2000):
    """How the harness, built with `flags`, ends; the sanitizer wants a memory layout that is not random."""
    program = tmp_path / "grace"
    sources = [os.path.join(HERE, "grace.c"), *(os.path.join(CSRC, name) for name in ("descriptors.c", "thread.c"))]
    traps.emit(tmp_path / "traps.def")
    include = [f"-I{CSRC}", f"-I{tmp_path}"]
    subprocess.run(
        ["gcc", "-g", "-std=gnu11", "-Wall", "-Wextra", *flags, *include, "-o", program, *sources, "-lpthread"],
        check=True,
    )
    setarch = shutil.which("setarch")
    assert setarch, "setarch is missing: apt-get install util-linux"
    return subprocess.run([setarch, "-R", program, str(rounds)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("flags", [("-O1", "-fsanitize=thread"), ("-O2",)], ids=["sanitized", "plain"])
def test_nobody_sees_what_has_been_retired(tmp_path, flags):
    done = ended(tmp_path, *flags)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrong 0\n", "")


def test_missing_grace_period_is_reported(tmp_path):
    done = ended(tmp_path, "-O1", "-fsanitize=thread", "-DNO_GRACE")
    assert done.returncode != 0 and "data race" in done.stderr, f"{done.stdout}\n{done.stderr}"
