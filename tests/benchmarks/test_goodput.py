"""The benchmark of goodput works: a stream of each side comes through the path. How fast it is, no test judges."""

import flap
import pytest

import libos.mode
from benchmarks import goodput

REASON = flap.no_tap()


@pytest.mark.skipif(bool(REASON), reason=REASON)
@pytest.mark.skipif(libos.mode.pure(), reason="benchmarks measure the compiled data path")
def test_a_stream_of_each_side_comes_through():
    (row,) = goodput.run(True, lambda what: None)
    assert row["median"] > 0 and row["kernel_median"] > 0 and row["blocks"] == 1, row
