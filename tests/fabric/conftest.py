import sys

import pytest


@pytest.fixture(autouse=True)
def nothing_is_swallowed(monkeypatch):
    """What a Python fabric raises under a compiled caller ends there; here it fails the test."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    yield
    assert not told, [str(what.exc_value) for what in told]
