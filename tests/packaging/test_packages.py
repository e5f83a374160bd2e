""".ci/packages: names what is missing to those who can't install it, and leaves alone what is there."""

import os
import subprocess

import pytest

import setup

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(setup.__file__)), ".ci", "packages")
STUBS = {
    "dpkg-query": 'case "$3" in here*) echo install ok installed;; gone) echo deinstall ok;; *) false;; esac',
    "id": "echo 1000",
    "apt-get": "echo apt-get was called",
}


@pytest.fixture
def packages(tmp_path):
    """packages(NAMES..., without=STUB): the script run by somebody who is not root."""

    def run(*names, without=None):
        for name, body in STUBS.items():
            if name != without:
                (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
                (tmp_path / name).chmod(0o755)
        for tool in ("grep", "sh"):
            (tmp_path / tool).symlink_to(f"/bin/{tool}")
        environ = {"PATH": str(tmp_path)}
        return subprocess.run(["/bin/sh", SCRIPT, *names], env=environ, capture_output=True, text=True, timeout=20)

    return run


def test_nothing_missing(packages):
    done = packages("here-a", "here-b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_line_that_installs(packages):
    done = packages("here-a", "absent", "gone")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "catflap: packages are missing: sudo apt-get install absent gone\n"


def test_no_debian(packages):
    done = packages("absent", without="dpkg-query")
    assert done.returncode == 0 and done.stderr.count("\n") == 1 and "absent" in done.stderr
