"""Which mode is tested is asserted, never assumed."""

import glob
import os
import sys

import pytest

import libos.mode
from libos.mode import HOT_MODULES

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def pytest_sessionstart(session):
    """A staged run (`make test-pure`) is interpreted because there is nothing else: no compiled module exists."""
    if os.environ.get("FLAP_STAGED"):
        built = set(glob.glob(os.path.join(ROOT, "libos", "**", "*.so"), recursive=True))
        for name in ("capi/libdemikernel*.so", "*/libcatflap_*.so"):  # C, and no Python module
            built -= set(glob.glob(os.path.join(ROOT, "libos", name)))
        assert not built, f"compiled modules in an interpreted run: {built}"
        assert libos.mode.pure(), "CATFLAP_PURE is not set in a staged run"
        assert os.environ.get("FLAP_ROOT") == ROOT, "FLAP_ROOT is not this tree"
    used = os.path.dirname(os.path.dirname(os.path.abspath(libos.mode.__file__)))
    assert used == ROOT, f"the tests of {ROOT} import the libos of {used}"


@pytest.fixture(autouse=True, scope="session")
def mode():
    """Every hot module that a session has loaded is of the one mode that was asked for."""
    yield
    wanted = not libos.mode.pure()
    for name in HOT_MODULES:
        if name in sys.modules:
            assert libos.mode.compiled(sys.modules[name]) == wanted, f"{name} is in the wrong mode"


def pytest_report_header(config):
    return "mode: " + ("interpreted" if libos.mode.pure() else "compiled")
