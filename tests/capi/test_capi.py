"""The C face, by programs written to its man pages, on every libOS it has."""

import os
import subprocess
import sys
from pathlib import Path

import catmints
import pytest

ROOT = Path(__file__).resolve().parents[2]
C = Path(__file__).with_name("c")
LIBOSES = ("catnap", "catloop")
# not for Catmint: connections in a heap without memory, and in the child of a fork
ELSEWHERE = {"exhaustion", "forks"}
PROGRAMS = sorted(path.stem for path in C.glob("*.c"))


@pytest.mark.parametrize("libos", LIBOSES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(run, name, libos):
    run(C / f"{name}.c", libos)


@pytest.mark.parametrize("kind", catmints.KINDS)
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in ELSEWHERE])
def test_program_on_catmint(run, name, kind):
    catmints.needed()
    provider, node = catmints.KINDS[kind]
    run(C / f"{name}.c", "catmint", CATFLAP_PROVIDER=provider, CATFLAP_NODE=node)


@pytest.mark.parametrize("kind", catmints.KINDS)
def test_messages(run, kind):
    catmints.needed()
    provider, node = catmints.KINDS[kind]
    run(C.parent / "messages.c", "catmint", CATFLAP_PROVIDER=provider, CATFLAP_NODE=node)


def test_a_provider_that_is_not_there_is_one_line(program):
    catmints.needed()
    done = subprocess.run(
        [program(C / "waits.c"), "--catmint"],
        env=os.environ | {"CATFLAP_PROVIDER": "catdog"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode and not done.stdout
    assert "libfabric has no endpoint of 'catdog' here" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", catmints.KINDS)
def test_a_client_of_a_server_in_python(program, kind):
    """One end is the C face, the other PDPIX from Python."""
    catmints.needed()
    provider, node = catmints.KINDS[kind]
    server = ROOT / "tests" / "libos" / "catmint_server.py"
    environ = os.environ | {"PYTHONPATH": str(ROOT), "CATFLAP_PROVIDER": provider, "CATFLAP_NODE": node}
    command = [sys.executable, server, kind, "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as serving:
        try:
            port = serving.stdout.readline().strip()
            echo = program(ROOT / "examples" / "c" / "echo.c")
            done = subprocess.run(
                [echo, "client", port, "--catmint"], env=environ, capture_output=True, text=True, timeout=100
            )
            assert done.returncode == 0 and "20000 echoes" in done.stdout, done.stderr
            assert serving.wait(30) == 0
        finally:
            serving.kill()
