"""Programs in C on the C face: compiled once a session, run on each libOS, in the mode that is tested."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CAPI = ROOT / "libos" / "capi"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """program(source, ...): the executable of a C program, linked with libdemikernel.so."""
    folder = tmp_path_factory.mktemp("capi")
    made = {}

    def compiled(source, *flags):
        source = Path(source)
        if (source, flags) not in made:
            target = folder / f"{source.stem}{len(made)}"
            command = ["gcc", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{CAPI / 'include'}", *flags, str(source)]
            command += ["-o", str(target), f"-L{CAPI}", "-ldemikernel", f"-Wl,-rpath,{CAPI}", "-lpthread"]
            subprocess.run(command, check=True)
            made[source, flags] = target
        return made[source, flags]

    return compiled


@pytest.fixture
def run(program):
    """run(source, libos, ...): what a program prints, which has to end well."""

    def ran(source, libos, *arguments, **environment):
        done = subprocess.run(
            [str(program(source)), f"--{libos}", *map(str, arguments)],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    return ran
