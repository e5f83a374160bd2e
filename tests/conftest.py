"""Which mode is tested is asserted, never assumed."""

import sys

import pytest

import libos.mode
from setup import HOT_MODULES


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
