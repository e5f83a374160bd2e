"""The helpers beside the tests are found by their names; stacks that tests share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def bench():
    from bench import Bench

    bench = Bench()
    yield bench
    bench.host.close()


@pytest.fixture
def stranger():
    """A stack that knows nobody."""
    from bench import Bench

    bench = Bench(known=False)
    yield bench
    bench.host.close()
