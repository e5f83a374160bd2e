"""Fixtures of the scenario tests: the preload must be there, kernel transcripts are made once."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import flap  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "pure_sample: interpreted mode on a fixed sample of scenarios")


@pytest.fixture(scope="session")
def preload():
    """Path of the preload library; fails, never skips, when it has not been built."""
    assert os.path.exists(flap.PRELOAD), f"{flap.PRELOAD} is missing: python setup.py build_ext --inplace"
    return flap.PRELOAD


@pytest.fixture(scope="session")
def oracle():
    """oracle(source, scenario): the transcript on the kernel, without the preload; checked for broken facts."""
    known = {}

    def ask(source, scenario, timeout, fortify, env=None):
        if (source, scenario, bool(env)) not in known:
            result = flap.run([flap.compiled(source, fortify=fortify), scenario], "kernel", timeout=timeout, env=env)
            assert not result.timed_out and b"BROKEN" not in result.stdout, f"on the kernel itself:\n{result}"
            assert result.stdout, f"an empty transcript:\n{result}"
            known[source, scenario, bool(env)] = result
        return known[source, scenario, bool(env)]

    return ask
