"""The C face, by programs written to its man pages, on every libOS it has."""

from pathlib import Path

import pytest

C = Path(__file__).with_name("c")
LIBOSES = ("catnap", "catloop")


@pytest.mark.parametrize("libos", LIBOSES)
@pytest.mark.parametrize("name", sorted(path.stem for path in C.glob("*.c")))
def test_program(run, name, libos):
    run(C / f"{name}.c", libos)
